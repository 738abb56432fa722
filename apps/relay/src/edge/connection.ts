import type { Duplex } from 'node:stream'
import { AioError, CLOSE_CODES, type Principal, toAioError } from '@ai-orchestration/protocol'
import type { TRPCError } from '@trpc/server'
import { ulid } from 'ulid'
import type { RawData, WebSocket } from 'ws'
import type { Context, Peer } from '../context.ts'
import { Outbox, type OutboxOwner } from '../delivery/outbox.ts'
import { textFrame } from '../delivery/text-frame.ts'
import { appRouter } from '../router/index.ts'
import type { Services } from '../services.ts'
import type { Place } from './admission.ts'
import { Calls, type CallsPort } from './calls.ts'
import { connectionId } from './connection-id.ts'
import { Drain } from './drain.ts'
import { readFrame } from './frame.ts'
import type { EdgeLimits } from './limits.ts'
import { Procedures } from './procedures.ts'
import type { Traffic } from './traffic.ts'

/** Nothing has been presented yet, a token that holds, or one that does not. */
type Identity = { type: 'none' } | { type: 'token'; principal: Principal } | { type: 'refused'; error: AioError }

/** What all connections share. */
export interface Rooms {
  services: Services
  limits: EdgeLimits
  traffic: Traffic
  onClosed: (connection: Connection) => void
}

const OPEN = 1
const NOBODY: Identity = { type: 'none' }
const procedures = new Procedures(appRouter)

/** One WebSocket: who it belongs to, what it may send, and how much may wait for it. There are many idle ones, so it is lean. */
export class Connection implements Peer, CallsPort, OutboxOwner {
  readonly address: string
  /** True when it was opened as an orchestrator's. */
  readonly isOrchestrator: boolean
  readonly #rooms: Rooms
  readonly #ws: WebSocket
  readonly #calls: Calls
  readonly #outbox: Outbox
  /** Made when somebody waits for room. */
  #drain: Drain | undefined
  #gone: AbortController | undefined
  #isClosed = false
  #place: Place | undefined
  #identity: Identity = NOBODY
  #isFirstFrame = true
  #deadline: NodeJS.Timeout | undefined
  #isAlive = true
  readonly #number = connectionId.next()

  constructor(options: {
    rooms: Rooms
    ws: WebSocket
    /** What carries `ws`. Our frames go to it directly, which is sound as `ws` writes each of its own in one piece. */
    socket: Duplex
    address: string
    place: Place | undefined
    token: string | undefined
    isOrchestrator: boolean
  }) {
    const { rooms, ws } = options
    this.#rooms = rooms
    this.address = options.address
    this.isOrchestrator = options.isOrchestrator
    this.#ws = ws
    this.#place = options.place
    this.#calls = new Calls({ procedures, limits: rooms.limits, port: this })
    this.#outbox = new Outbox({ socket: options.socket, owner: this })
    if (options.token !== undefined) this.#present(options.token)
    else this.#deadline = setTimeout(() => this.#tooLate(), rooms.limits.authDeadlineMs)
    listen(ws, this)
  }

  /** For log lines. */
  get id(): string {
    return connectionId.of(this.#number)
  }

  /** Aborted once the socket is closed. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController() // when asked for: most connections never are, and it weighs more than they do
    if (this.#isClosed) this.#gone.abort()
    return this.#gone.signal
  }

  /** False once it is closing. */
  get isOpen(): boolean {
    return this.#ws.readyState === OPEN
  }

  /** Calls that are not answered yet, without subscriptions. */
  get callsUnderWay(): number {
    return this.#calls.underWay
  }

  /** True once a valid token was presented. */
  get isAuthenticated(): boolean {
    return this.#identity.type === 'token'
  }

  /** Id of the token it was opened with. */
  get tokenId(): string | undefined {
    return this.#principal?.tokenId
  }

  drained(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    const softBytes = this.#rooms.limits.bufferSoftBytes
    this.#drain ??= new Drain({ buffered: () => this.#outbox.bytes, softBytes })
    return this.#drain.room()
  }

  get hasRoom(): boolean {
    return this.#outbox.bytes < this.#rooms.limits.bufferSoftBytes
  }

  deliver(frames: Buffer): void {
    this.#outbox.add(frames)
  }

  send(text: string): void {
    this.#outbox.add(textFrame(text))
  }

  /** Closes it when too much waits. */
  flushed(bytes: number): void {
    this.#rooms.traffic.sentBytes += bytes
    if (this.#outbox.bytes > this.#rooms.limits.bufferHardBytes && this.isOpen)
      this.close(CLOSE_CODES.slow, 'SLOW_CONSUMER: too much was waiting for this connection; resume')
  }

  written(): void {
    this.#drain?.written()
  }

  context(): Context {
    return {
      services: this.#rooms.services,
      peer: this,
      address: this.address,
      authenticate: () => this.#authenticate(),
      requestId: ulid,
    }
  }

  tooEarlyMs(): number {
    return this.#rooms.services.rates.take(this.#principal, this.address)
  }

  unexpected(error: TRPCError, path: string): void {
    const cause = error.cause ?? error
    if (!(cause instanceof AioError) && error.code === 'INTERNAL_SERVER_ERROR')
      this.#rooms.services.log.error({ err: cause, call: path, connection: this.id }, 'a call failed unexpectedly')
  }

  /** Closes it with a code and a reason that begins with an error code; cuts it when the other side does not answer. */
  close(code: number, reason: string): void {
    if (this.isOpen) this.#rooms.traffic.closes.add(code)
    this.#outbox.flush() // what was said before comes before
    this.#ws.close(code, reason.slice(0, 120)) // a close frame holds 123 bytes of reason
    setTimeout(() => this.#ws.terminate(), this.#rooms.limits.closeGraceMs).unref()
  }

  /** Closes it when its token no longer holds. */
  recheck(): void {
    if (this.#identity.type !== 'token') return
    const { tokens } = this.#rooms.services
    if (tokens.isLeaving(this.#identity.principal.tokenId)) return
    try {
      tokens.recheck(this.#identity.principal.tokenId)
    } catch {
      this.logOut()
    }
  }

  /** Closes it because its token was revoked, has expired or allows something else now. */
  logOut(): void {
    const why = 'this token was revoked or changed, or has expired; log in again'
    this.#identity = { type: 'refused', error: new AioError('UNAUTHORIZED', why) }
    this.close(CLOSE_CODES.revoked, `UNAUTHORIZED: ${why}`)
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#isAlive = false
    if (this.isOpen) this.#ws.ping()
  }

  /** It gave a sign of life. */
  isHeard(): void {
    this.#isAlive = true
  }

  /** Cuts it when it gave no sign of life since {@link ping}. */
  cutIfSilent(): void {
    if (!this.#isAlive) this.#ws.terminate()
  }

  /** Cuts it at once. */
  terminate(): void {
    this.#ws.terminate()
  }

  /** Takes a frame that came in. */
  receive(data: Buffer, isBinary: boolean): void {
    this.#isAlive = true
    if (!this.isOpen) return
    if (isBinary) {
      this.close(CLOSE_CODES.badFrame, 'INVALID_INPUT: binary frames are not used here')
      return
    }
    const { unauthenticatedFrameMaxBytes, callsPerFrameHardMax } = this.#rooms.limits
    if (this.#identity.type === 'none' && data.length > unauthenticatedFrameMaxBytes) {
      this.close(CLOSE_CODES.badFrame, 'LIMIT: present a token before sending this much')
      return
    }
    const frame = readFrame(data.toString('utf8'), callsPerFrameHardMax)
    const isFirst = this.#isFirstFrame
    switch (frame.type) {
      case 'ping':
        this.send('PONG')
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
        if (!this.#calls.take(frame.calls))
          this.close(CLOSE_CODES.badFrame, 'INVALID_INPUT: the id of a call is in use on this connection')
        return
      default:
        frame satisfies never
    }
  }

  /** The socket has failed; `close` follows. */
  failed(error: Error): void {
    this.#rooms.services.log.debug({ connection: this.id, reason: error.message }, 'socket error')
  }

  /** The socket is closed. */
  closed(): void {
    this.#dropDeadline()
    this.#leavePlace()
    this.#isClosed = true
    this.#drain?.end()
    this.#calls.end()
    this.#gone?.abort()
    this.#rooms.onClosed(this)
  }

  get #principal(): Principal | undefined {
    return this.#identity.type === 'token' ? this.#identity.principal : undefined
  }

  #authenticate(): Principal {
    const identity = this.#identity
    switch (identity.type) {
      case 'none':
        throw new AioError('UNAUTHORIZED', 'This connection presented no token. Log in with: aio login')
      case 'refused':
        throw identity.error
      case 'token':
        return this.#rooms.services.tokens.recheck(identity.principal.tokenId)
      default:
        return identity satisfies never
    }
  }

  #present(token: string): void {
    this.#dropDeadline()
    try {
      this.#identity = { type: 'token', principal: this.#rooms.services.tokens.verify(token) }
      this.#leavePlace()
    } catch (error) {
      const refusal = toAioError(error, 'UNAUTHORIZED')
      this.#identity = { type: 'refused', error: refusal }
      // Stock clients connect again at once when a socket that opened is closed. The short wait lets the calls that are on
      // their way be answered, and the message without id makes the client back off.
      this.#deadline = setTimeout(() => this.#refuse(refusal), this.#rooms.limits.rejectGraceMs)
    }
  }

  #tooLate(): void {
    this.#refuse(new AioError('UNAUTHORIZED', 'no token was presented in time'))
  }

  #refuse(error: AioError): void {
    this.#calls.refuse(null, error.toWire())
    this.close(CLOSE_CODES.unauthorized, `${error.code}: ${error.message}`)
  }

  #dropDeadline(): void {
    clearTimeout(this.#deadline)
    this.#deadline = undefined
  }

  #leavePlace(): void {
    this.#place?.leave()
    this.#place = undefined
  }
}

function listen(ws: WebSocket, connection: Connection): void {
  ws.on('message', (data: RawData, isBinary) => connection.receive(bytesOf(data), isBinary))
  ws.on('pong', () => connection.isHeard())
  ws.on('error', (error) => connection.failed(error))
  ws.on('close', () => connection.closed())
}

// `ws` gives a Buffer for every frame unless told otherwise.
function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
