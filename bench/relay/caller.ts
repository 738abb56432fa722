import { once } from 'node:events'
import { WebSocket } from 'ws'

interface Answer {
  id: number
  result?: { type: 'started' | 'data' | 'stopped'; data?: unknown }
  error?: { message: string }
}

/** Opens a WebSocket that does as little as possible, so that the load generator is not what is measured. */
export async function connect(url: string, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false, skipUTF8Validation: true, headers })
  await once(socket, 'open')
  return socket
}

/** Speaks the frames of docs/protocol.md over one socket: calls and subscriptions, nothing else. */
export class Caller {
  readonly #socket: WebSocket
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #subscriptions = new Map<number, { started: () => void; onData: (data: unknown) => void }>()
  #lastId = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => this.#receive(JSON.parse(data.toString())))
  }

  call(path: string, input: unknown): Promise<unknown> {
    this.#lastId += 1
    const waiting = Promise.withResolvers<unknown>()
    this.#calls.set(this.#lastId, waiting)
    this.#socket.send(JSON.stringify({ id: this.#lastId, method: 'mutation', params: { path, input } }))
    return waiting.promise
  }

  /** Resolves once the subscription has begun. */
  subscribe(path: string, input: unknown, onData: (data: unknown) => void): Promise<void> {
    this.#lastId += 1
    this.#socket.send(JSON.stringify({ id: this.#lastId, method: 'subscription', params: { path, input } }))
    return new Promise((started) => this.#subscriptions.set(this.#lastId, { started, onData }))
  }

  #receive({ id, result, error }: Answer): void {
    const call = this.#calls.get(id)
    if (call !== undefined) {
      this.#calls.delete(id)
      if (error === undefined) call.resolve(result?.data)
      else call.reject(new Error(error.message))
      return
    }
    if (error !== undefined) throw new Error(error.message)
    const subscription = this.#subscriptions.get(id)
    if (result?.type === 'started') subscription?.started()
    if (result?.type === 'data') subscription?.onData(result.data)
  }
}

/** Opens a socket with one subscription and counts what comes, without reading it. Resolves once it has begun. */
export async function subscribeCounting(
  socket: WebSocket,
  { path, input, onItem }: { path: string; input: unknown; onItem: () => void },
): Promise<void> {
  socket.send(JSON.stringify({ id: 1, method: 'subscription', params: { path, input } }))
  await once(socket, 'message')
  socket.on('message', onItem)
}
