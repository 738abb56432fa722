import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  AioError,
  CLOSE_CODES,
  ERROR_STATUS,
  type Principal,
  toAioError,
  type WireError,
} from '@ai-orchestration/protocol'
import type { TRPCError } from '@trpc/server'
import { getWSConnectionHandler } from '@trpc/server/adapters/ws'
import { ulid } from 'ulid'
import type { WebSocket, WebSocketServer } from 'ws'
import type { Context, Peer } from '../context.ts'
import { takeOver } from '../delivery/handover.ts'
import { Outbox } from '../delivery/outbox.ts'
import { textFrame } from '../delivery/text-frame.ts'
import { appRouter } from '../router/index.ts'
import type { Services } from '../services.ts'
import { AdapterSocket } from './adapter-socket.ts'
import type { Place } from './admission.ts'
import { CallsInFlight } from './calls-in-flight.ts'
import { DirectCalls } from './direct-calls.ts'
import { Drain } from './drain.ts'
import { type CallFrame, readFrame } from './frame.ts'
import type { EdgeLimits } from './limits.ts'

/** Nothing has been presented yet, a token that holds, or one that does not. */
type Identity = { type: 'none' } | { type: 'token'; tokenId: string } | { type: 'refused'; error: AioError }

const OPEN = 1
const direct = new DirectCalls(appRouter)

/**
 * What the adapter is told of the upgrade, the same for all: the real request would stay in memory as long as its socket, and
 * its address, with connectionParams=1, would make the adapter wait for a frame that we have taken.
 */
const REQUEST = Object.assign(new IncomingMessage(new Socket()), { url: '/ws' })

/** One WebSocket: who it belongs to, what it may send, and how much may wait for it. */
export class Connection implements Peer {
  readonly id = ulid()
  readonly address: string
  /** True when it was opened as an orchestrator's. */
  readonly isOrchestrator: boolean
  readonly #ws: WebSocket
  readonly #services: Services
  readonly #limits: EdgeLimits
  readonly #calls: CallsInFlight
  readonly #adapter: AdapterSocket
  readonly #context: Context
  readonly #outbox: Outbox
  readonly #drain: Drain
  readonly #onClosed: () => void
  #gone: AbortController | undefined
  #isClosed = false
  #place: Place | undefined
  #identity: Identity = { type: 'none' }
  #isFirstFrame = true
  #deadline: NodeJS.Timeout | undefined
  #isAlive = true
  #requests = 0

  constructor(options: {
    ws: WebSocket
    wss: WebSocketServer
    /** What carries `ws`. Our frames go to it directly, which is sound as `ws` writes each of its own in one piece. */
    socket: Duplex
    address: string
    place: Place | undefined
    token: string | undefined
    isOrchestrator: boolean
    services: Services
    limits: EdgeLimits
    onClosed: (connection: Connection) => void
  }) {
    const { ws, limits, onClosed } = options
    this.#onClosed = () => onClosed(this)
    this.address = options.address
    this.isOrchestrator = options.isOrchestrator
    this.#ws = ws
    this.#services = options.services
    this.#limits = limits
    this.#place = options.place
    this.#calls = new CallsInFlight(limits)
    this.#drain = new Drain({ buffered: () => this.#buffered(), softBytes: limits.bufferSoftBytes })
    this.#outbox = new Outbox({
      socket: options.socket,
      canWrite: () => ws.readyState === OPEN,
      onFlushed: () => this.#closeIfSlow(),
      onWritten: () => this.#drain.written(),
    })
    this.#adapter = new AdapterSocket({ send: (text) => this.#send(text), readyState: () => ws.readyState })
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary))
    ws.on('pong', () => {
      this.#isAlive = true
    })
    ws.on('error', (error) => this.#services.log.debug({ connection: this.id, reason: error.message }, 'socket error'))
    ws.once('close', () => this.#closed())
    this.#deadline = setTimeout(() => this.#tooLate(), limits.authDeadlineMs)
    if (options.token !== undefined) this.#present(options.token)
    this.#context = this.#contextOfCalls()
    this.#serve(options.wss)
  }

  /** Aborted once the socket is closed. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController() // when asked for: most connections never are, and it weighs more than they do
    if (this.#isClosed) this.#gone.abort()
    return this.#gone.signal
  }

  /** True once a valid token was presented. */
  get isAuthenticated(): boolean {
    return this.#identity.type === 'token'
  }

  /** Id of the token it was opened with. */
  get tokenId(): string | undefined {
    return this.#identity.type === 'token' ? this.#identity.tokenId : undefined
  }

  drained(): Promise<void> {
    return this.#drain.room()
  }

  get hasRoom(): boolean {
    return this.#drain.hasRoom
  }

  deliver(frames: Buffer): void {
    this.#outbox.add(frames)
  }

  /** Closes it with a code and a reason that begins with an error code; cuts it when the other side does not answer. */
  close(code: number, reason: string): void {
    this.#outbox.flush() // what was said before comes before
    this.#ws.close(code, reason.slice(0, 120)) // a close frame holds 123 bytes of reason
    setTimeout(() => this.#ws.terminate(), this.#limits.closeGraceMs).unref()
  }

  /** Closes it when its token no longer holds. */
  recheck(): void {
    if (this.#identity.type !== 'token') return
    try {
      this.#services.tokens.recheck(this.#identity.tokenId)
    } catch (error) {
      this.#identity = { type: 'refused', error: toAioError(error, 'UNAUTHORIZED') }
      this.close(CLOSE_CODES.revoked, 'UNAUTHORIZED: this token was revoked or has expired; log in again')
    }
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#isAlive = false
    if (this.#ws.readyState === OPEN) this.#ws.ping()
  }

  /** Cuts it when it gave no sign of life since {@link ping}. */
  cutIfSilent(): void {
    if (!this.#isAlive) this.#ws.terminate()
  }

  /** Cuts it at once. */
  terminate(): void {
    this.#ws.terminate()
  }

  #contextOfCalls(): Context {
    return {
      services: this.#services,
      peer: this,
      address: this.address,
      authenticate: () => this.#authenticate(),
      requestId: () => {
        this.#requests += 1
        return `${this.id}.${this.#requests}`
      },
    }
  }

  #serve(wss: WebSocketServer): void {
    const connect = getWSConnectionHandler({
      wss,
      router: appRouter,
      createContext: () => this.#context,
      experimental_encoder: {
        decode: () => this.#adapter.decode(),
        encode: (message) => {
          if (takeOver(message)) return ''
          this.#calls.answered(message)
          return JSON.stringify(message)
        },
      },
      onError: ({ error, path }) => this.#logUnexpected(error, path),
    })
    connect(this.#adapter.asWebSocket(), REQUEST)
  }

  #authenticate(): Principal {
    const identity = this.#identity
    switch (identity.type) {
      case 'none':
        throw new AioError('UNAUTHORIZED', 'This connection presented no token. Log in with: aio login')
      case 'refused':
        throw identity.error
      case 'token':
        return this.#services.tokens.recheck(identity.tokenId)
      default:
        return identity satisfies never
    }
  }

  #present(token: string): void {
    try {
      this.#identity = { type: 'token', tokenId: this.#services.tokens.verify(token).tokenId }
      clearTimeout(this.#deadline)
      this.#place?.leave()
    } catch (error) {
      const refusal = toAioError(error, 'UNAUTHORIZED')
      this.#identity = { type: 'refused', error: refusal }
      clearTimeout(this.#deadline)
      // Stock clients connect again at once when a socket that opened is closed. The short wait lets the calls that are on
      // their way be answered, and the message without id makes the client back off.
      this.#deadline = setTimeout(() => this.#refuse(refusal), this.#limits.rejectGraceMs)
    }
  }

  #tooLate(): void {
    this.#refuse(new AioError('UNAUTHORIZED', 'no token was presented in time'))
  }

  #refuse(error: AioError): void {
    this.#sendError(null, error.toWire())
    this.close(CLOSE_CODES.unauthorized, `${error.code}: ${error.message}`)
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#isAlive = true
    if (this.#ws.readyState !== OPEN) return
    if (isBinary) {
      this.close(CLOSE_CODES.badFrame, 'INVALID_INPUT: binary frames are not used here')
      return
    }
    if (this.#identity.type === 'none' && data.length > this.#limits.unauthenticatedFrameMaxBytes) {
      this.close(CLOSE_CODES.badFrame, 'LIMIT: present a token before sending this much')
      return
    }
    const frame = readFrame(data.toString('utf8'), this.#limits.callsPerFrameHardMax)
    const isFirst = this.#isFirstFrame
    switch (frame.type) {
      case 'ping':
        this.#send('PONG')
        return
      case 'pong':
        return
      case 'bad':
        this.close(CLOSE_CODES.badFrame, frame.reason)
        return
      case 'params':
        this.#isFirstFrame = false
        if (!isFirst) {
          this.close(CLOSE_CODES.badFrame, 'INVALID_INPUT: connectionParams come first')
          return
        }
        if (frame.token !== undefined && this.#identity.type === 'none') this.#present(frame.token)
        return
      case 'calls':
        this.#isFirstFrame = false
        this.#pass(frame.calls)
        return
      default:
        frame satisfies never
    }
  }

  #pass(calls: CallFrame[]): void {
    const taken: unknown[] = []
    const served = calls.slice(0, this.#limits.callsPerFrameMax)
    for (const { id } of calls.slice(served.length)) this.#sendError(id, tooManyInFrame(this.#limits))
    for (const call of served) {
      const outcome = this.#calls.begin(call)
      if (outcome === 'duplicate') {
        this.close(CLOSE_CODES.badFrame, 'INVALID_INPUT: the id of a call is in use on this connection')
        return
      }
      if (outcome === 'taken' && direct.takes(call)) void this.#run(call)
      else if (outcome === 'taken') taken.push(call.raw)
      else this.#sendError(call.id, tooMany(call, this.#limits))
    }
    if (taken.length > 0) this.#adapter.deliver(taken)
  }

  async #run(call: CallFrame): Promise<void> {
    const { text, error } = await direct.run(call, this.#context)
    if (error !== undefined) this.#logUnexpected(error, call.path)
    this.#calls.ended(call.id)
    if (this.#ws.readyState === OPEN) this.#send(text)
  }

  #logUnexpected(error: TRPCError, path: string | undefined): void {
    const cause = error.cause ?? error
    if (!(cause instanceof AioError) && error.code === 'INTERNAL_SERVER_ERROR')
      this.#services.log.error({ err: cause, call: path, connection: this.id }, 'a call failed unexpectedly')
  }

  #send(text: string): void {
    this.#outbox.add(textFrame(text))
  }

  #buffered(): number {
    return this.#outbox.bytes + this.#ws.bufferedAmount
  }

  #closeIfSlow(): void {
    if (this.#buffered() > this.#limits.bufferHardBytes && this.#ws.readyState === OPEN)
      this.close(CLOSE_CODES.slow, 'SLOW_CONSUMER: too much was waiting for this connection; resume')
  }

  #sendError(id: number | string | null, { code, message }: WireError): void {
    if (this.#ws.readyState !== OPEN) return
    const shape = { code: -32_000, message, data: { code, httpStatus: ERROR_STATUS[code] } }
    this.#send(JSON.stringify({ id, error: shape }))
  }

  #closed(): void {
    clearTimeout(this.#deadline)
    this.#place?.leave()
    this.#drain.end()
    this.#adapter.emit('close')
    this.#isClosed = true
    this.#gone?.abort()
    this.#onClosed()
  }
}

function tooManyInFrame({ callsPerFrameMax }: EdgeLimits): WireError {
  return {
    code: 'LIMIT',
    message: `One frame holds at most ${callsPerFrameMax} calls. Send the others a moment later.`,
  }
}

function tooMany({ method }: CallFrame, limits: EdgeLimits): WireError {
  const what =
    method === 'subscription' ? `${limits.subscriptionsMax} subscriptions` : `${limits.concurrentCallsMax} calls`
  return {
    code: 'LIMIT',
    message: `This connection already has ${what} open. Wait for some to end, then try again.`,
  }
}
