/** Lets producers wait until a socket's outbound buffer is below the soft limit, one at a time so that they do not all pour at once. */
export class Drain {
  readonly #buffered: () => number
  readonly #softBytes: number
  #waiting: (() => void)[] = []
  #isReleasing = false
  #isOver = false

  constructor(options: { buffered: () => number; softBytes: number }) {
    this.#buffered = options.buffered
    this.#softBytes = options.softBytes
  }

  /** True while less than the soft limit waits. */
  get hasRoom(): boolean {
    return this.#buffered() < this.#softBytes
  }

  /** Resolves when there is room, or the connection is over. */
  room(): Promise<void> {
    if (this.#isOver || (this.#waiting.length === 0 && this.#buffered() < this.#softBytes)) return DONE
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.written()
    })
  }

  /** Some bytes have left: lets the next producer go when there is room. */
  written(): void {
    if (this.#isReleasing || this.#waiting.length === 0 || this.#buffered() >= this.#softBytes) return
    this.#isReleasing = true
    this.#waiting.shift()?.()
    // The one let go writes before the next is asked: that is a turn of the event loop away.
    setImmediate(() => {
      this.#isReleasing = false
      this.written()
    })
  }

  /** The connection is over: nobody waits any longer. */
  end(): void {
    this.#isOver = true
    for (const resolve of this.#waiting) resolve()
    this.#waiting = []
  }
}

const DONE = Promise.resolve()
