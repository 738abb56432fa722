import type { Writable } from 'node:stream'
import { atEndOfTurn } from './turn.ts'

/** Bytes above which it does not wait for the end of the turn: joining more gains nothing. */
const FLUSH_BYTES = 64 * 1024

/** What goes to one socket: the frames of a turn of the event loop are joined and leave in one write. */
export class Outbox {
  readonly #socket: Writable
  readonly #canWrite: () => boolean
  readonly #onFlushed: () => void
  readonly #onWritten: () => void
  #frames: Buffer[] = []
  #bytes = 0
  #isDue = false

  constructor(options: {
    socket: Writable
    /** False once a close frame was sent: nothing may follow it. */
    canWrite: () => boolean
    /** Called when frames were handed to the socket. */
    onFlushed: () => void
    /** Called when the socket has passed them on. */
    onWritten: () => void
  }) {
    this.#socket = options.socket
    this.#canWrite = options.canWrite
    this.#onFlushed = options.onFlushed
    this.#onWritten = options.onWritten
  }

  /** Bytes that wait here; those that wait in the socket are not among them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds one or more complete frames. */
  add(frames: Buffer): void {
    this.#frames.push(frames)
    this.#bytes += frames.length
    if (this.#bytes >= FLUSH_BYTES) {
      this.flush()
    } else if (!this.#isDue) {
      this.#isDue = true
      atEndOfTurn(this.#flushDue)
    }
  }

  /** Writes what waits, now. */
  flush(): void {
    const frames = this.#frames
    const [first] = frames
    if (first === undefined) return
    this.#frames = []
    this.#bytes = 0
    if (!this.#canWrite()) return
    this.#socket.write(frames.length === 1 ? first : Buffer.concat(frames), this.#onWritten)
    this.#onFlushed()
  }

  readonly #flushDue = (): void => {
    this.#isDue = false
    this.flush()
  }
}
