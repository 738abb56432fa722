import type { Writable } from 'node:stream'
import { atEndOfTurn, type EndOfTurn } from './turn.ts'

/** Bytes above which it does not wait for the end of the turn: joining more gains nothing. */
const FLUSH_BYTES = 64 * 1024
/** Bytes above which we ask to be told when they have left; to ask costs as much as to write a small frame. */
const TOLD_BYTES = 16 * 1024

/** What an outbox asks and tells its connection. */
export interface OutboxOwner {
  /** False once a close frame was sent: nothing may follow it. */
  readonly isOpen: boolean
  /** Frames of so many bytes were handed to the socket. */
  flushed(bytes: number): void
  /** The socket has passed on some of what waited in it. */
  written(): void
}

/** What goes to one socket: the frames of a turn of the event loop are joined and leave in one write. */
export class Outbox implements EndOfTurn {
  readonly #socket: Writable
  readonly #owner: OutboxOwner
  #first: Buffer | undefined
  /** Frames behind the first, while there are any. */
  #more: Buffer[] | undefined
  #bytes = 0
  #isDue = false

  constructor(options: { socket: Writable; owner: OutboxOwner }) {
    this.#socket = options.socket
    this.#owner = options.owner
  }

  /** Bytes that wait, here and in the socket. */
  get bytes(): number {
    return this.#bytes + this.#socket.writableLength
  }

  /** Adds one or more complete frames. */
  add(frames: Buffer): void {
    if (this.#first === undefined) this.#first = frames
    else if (this.#more === undefined) this.#more = [frames]
    else this.#more.push(frames)
    this.#bytes += frames.length
    if (this.#bytes >= FLUSH_BYTES) {
      this.flush()
    } else if (!this.#isDue) {
      this.#isDue = true
      atEndOfTurn(this)
    }
  }

  /** Writes what waits, now. */
  flush(): void {
    const first = this.#first
    if (first === undefined) return
    const frames = this.#more === undefined ? first : Buffer.concat([first, ...this.#more], this.#bytes)
    this.#first = undefined
    this.#more = undefined
    this.#bytes = 0
    if (!this.#owner.isOpen) return
    // Who waits for room waits for more than these few bytes, so there is always one of whose end we are told.
    if (frames.length < TOLD_BYTES && this.#socket.writableLength === 0) this.#socket.write(frames)
    else this.#socket.write(frames, () => this.#owner.written())
    this.#owner.flushed(frames.length)
  }

  endOfTurn(): void {
    this.#isDue = false
    this.flush()
  }
}
