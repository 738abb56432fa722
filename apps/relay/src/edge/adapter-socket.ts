import { EventEmitter } from 'node:events'
import type { WebSocket } from 'ws'

const PARSED = Buffer.alloc(0)

/**
 * The socket that the tRPC adapter sees. Ours stands between it and the network, so that it gets only frames that were checked
 * and parsed, and its answers pass our account of buffers and calls.
 */
export class AdapterSocket extends EventEmitter {
  readonly #out: { send(text: string): void; readyState(): number }
  #incoming: unknown

  constructor(out: { send(text: string): void; readyState(): number }) {
    super()
    this.#out = out
  }

  /** What `ws` calls the state; 1 is open. */
  get readyState(): number {
    return this.#out.readyState()
  }

  /** Called by the adapter with an encoded answer; an empty one was a subscription that goes another way from here. */
  send(text: string): void {
    if (text !== '') this.#out.send(text)
  }

  /** Called by the adapter when the context cannot be made, which here cannot happen: closing is the connection's business. */
  close(): void {
    this.emit('close')
  }

  /** Hands the adapter messages that are already parsed: it calls {@link decode} for them within this call. */
  deliver(messages: unknown[]): void {
    this.#incoming = messages
    this.emit('message', PARSED, true) // "binary" makes the adapter hand the frame to the encoder as it is
    this.#incoming = undefined
  }

  /** The `decode` of the adapter's encoder. */
  decode(): unknown {
    return this.#incoming
  }

  /** The type that the adapter asks for. It uses on, once, send, close and readyState (11.25.2), which a test holds. */
  asWebSocket(): WebSocket {
    return this as unknown as WebSocket
  }
}
