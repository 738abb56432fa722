import { AioError, CLOSE_CODES } from '@ai-orchestration/protocol'
import { createWSClient, type TRPCWebSocketClient } from '@trpc/client'
import { fullJitter } from './backoff.ts'
import type { ConnectionStatus } from './status.ts'
import { guardedWebSocket } from './web-socket.ts'

/** Close codes after which another attempt with the same token is pointless. */
const REFUSING_CODES: readonly number[] = [CLOSE_CODES.unauthorized, CLOSE_CODES.revoked]

const SUPERSEDED =
  'Another process registered at the relay as the same orchestrator and took the place of this one. Run only one with this id.'

/** A connection that lived this long was a good one, so the next failure starts the back-off anew; milliseconds. */
const STABLE_AFTER_MS = 5_000

/** Ping after this silence and give up after that wait, in milliseconds: a dead path is noticed within 28 seconds (S-4: 40). */
const KEEP_ALIVE = { enabled: true, intervalMs: 15_000, pongTimeoutMs: 10_000 }

/** A lazily opened socket closes after this long without use, in milliseconds. */
const IDLE_CLOSE_MS = 60_000

/** What one socket needs to know. */
export interface RelaySocketOptions {
  url: string
  token: () => Promise<string | undefined>
  headers: Record<string, string>
  webSocket: typeof WebSocket | undefined
  random: () => number
  /** Open at the first use only. */
  isLazy: boolean
}

/** One WebSocket to the relay that comes back by itself, with a status that can be watched. */
export class RelaySocket {
  /** For `wsLink`. */
  readonly client: TRPCWebSocketClient
  #status: ConnectionStatus = { state: 'connecting', attempt: 0, since: Date.now() }
  #failures = 0
  #listeners = new Set<(status: ConnectionStatus) => void>()
  #sockets = new Set<WebSocket>()
  #latest: WebSocket | undefined

  constructor(options: RelaySocketOptions) {
    let token: string | undefined
    const readToken = async () => {
      token = await options.token()
      return options.url
    }
    this.client = createWSClient({
      url: readToken,
      connectionParams: () => (token === undefined ? {} : { token }),
      WebSocket: guardedWebSocket(options.webSocket, {
        headers: () => ({ ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...options.headers }),
        onCreate: (socket) => this.#opening(socket),
        onOpen: () => this.#set({ state: 'connected', since: Date.now() }),
        onClose: (socket, code, reason) => this.#lost(socket, code, reason),
      }),
      retryDelayMs: () => this.#retryDelay(options.random),
      lazy: { enabled: options.isLazy, closeMs: IDLE_CLOSE_MS },
      keepAlive: KEEP_ALIVE,
    })
  }

  /** How this socket stands now. */
  get status(): ConnectionStatus {
    return this.#status
  }

  /** Calls back at every change of status; returns what stops it. */
  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Why no call can ever succeed on this socket any more, if that is so. */
  get refusal(): AioError | undefined {
    switch (this.#status.state) {
      case 'unauthorized':
        return new AioError('UNAUTHORIZED', this.#status.message)
      case 'superseded':
        return new AioError('CONFLICT', this.#status.message)
      case 'closed':
        return new AioError('UNAVAILABLE', 'This client was closed. Create another one.')
      case 'connecting':
      case 'connected':
        return undefined
      default:
        return this.#status satisfies never
    }
  }

  /** Closes for good; calls under way fail. */
  async close(): Promise<void> {
    this.#set({ state: 'closed' })
    for (const socket of this.#sockets) socket.close()
    await this.client.close()
    for (const socket of this.#sockets) socket.close()
  }

  #opening(socket: WebSocket): void {
    this.#sockets.add(socket)
    this.#latest = socket
    if (this.#status.state === 'closed') socket.close()
    else if (this.#status.state !== 'connected')
      this.#set({ state: 'connecting', attempt: this.#failures, since: this.#since() })
  }

  #lost(socket: WebSocket, code: number, reason: string): void {
    this.#sockets.delete(socket)
    const before = this.#status
    if (before.state === 'closed' || before.state === 'unauthorized' || before.state === 'superseded') return
    if (code === CLOSE_CODES.superseded) {
      // The same orchestrator's own next socket also takes the place of one that is only slow to die.
      if (socket !== this.#latest) return
      this.#giveUp({ state: 'superseded', message: SUPERSEDED })
      return
    }
    if (REFUSING_CODES.includes(code)) {
      // A reason begins with an error code, for programs.
      const why = reason.replace(/^[A-Z_]+: /, '')
      const message = why === '' ? 'The relay refused this token: it is unknown, expired or revoked.' : sentence(why)
      this.#giveUp({ state: 'unauthorized', message })
      return
    }
    // A relay that says that it restarts was a good one, however short the connection lived.
    const wasStable =
      before.state === 'connected' && (code === CLOSE_CODES.restarting || Date.now() - before.since >= STABLE_AFTER_MS)
    this.#failures = wasStable ? 0 : this.#failures + 1
    this.#set({ state: 'connecting', attempt: this.#failures, since: this.#since() })
  }

  #giveUp(status: ConnectionStatus): void {
    this.#set(status)
    // Completes what waits; nothing is tried again. It resolves when its sockets have closed, which nobody waits for.
    void this.client.close()
  }

  #retryDelay(random: () => number): number {
    const retryInMs = fullJitter(Math.max(0, this.#failures - 1), random)
    if (this.#status.state === 'connecting')
      this.#set({ state: 'connecting', attempt: this.#failures, since: this.#since(), retryInMs })
    return retryInMs
  }

  #since(): number {
    return this.#status.state === 'connecting' ? this.#status.since : Date.now()
  }

  #set(status: ConnectionStatus): void {
    if (this.#status.state === 'closed') return
    this.#status = status
    for (const listener of [...this.#listeners]) listener(status)
  }
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(begun) ? begun : `${begun}.`
}
