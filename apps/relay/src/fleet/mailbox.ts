/** A queue in order from many writers to one reader, with an account of its size. */
export class Mailbox<T> {
  #items: { item: T; bytes: number }[] = []
  #bytes = 0
  #isClosed = false
  #wakeReader: (() => void) | undefined
  #waiting: { below: number; resolve: () => void }[] = []

  /** Bytes that wait to be taken, as their writers gave them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Items that wait to be taken. */
  get length(): number {
    return this.#items.length
  }

  /** Adds an item; without effect once closed. */
  push(item: T, bytes = 0): void {
    if (this.#isClosed) return
    this.#items.push({ item, bytes })
    this.#bytes += bytes
    this.#wakeReader?.()
  }

  /** Forgets what waits. */
  clear(): void {
    this.#items = []
    this.#bytes = 0
    this.#release()
  }

  /** Ends it: the reader's loop ends, and later items are dropped. */
  close(): void {
    this.#isClosed = true
    this.clear()
    this.#wakeReader?.()
  }

  /** Resolves once fewer bytes than that wait, or it is closed. */
  async drainedBelow(bytes: number): Promise<void> {
    if (this.#bytes < bytes || this.#isClosed) return
    await new Promise<void>((resolve) => {
      this.#waiting.push({ below: bytes, resolve })
    })
  }

  /** Takes items as they come until it is closed or the signal is aborted. */
  async *take(signal: AbortSignal): AsyncGenerator<T, void> {
    while (!this.#isClosed && !signal.aborted) {
      const next = this.#items.shift()
      if (next === undefined) {
        await this.#filled(signal)
      } else {
        this.#bytes -= next.bytes
        this.#release()
        yield next.item
      }
    }
  }

  #release(): void {
    const ready = this.#waiting.filter(({ below }) => this.#bytes < below || this.#isClosed)
    if (ready.length === 0) return
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter))
    for (const { resolve } of ready) resolve()
  }

  async #filled(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#wakeReader = undefined
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakeReader = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
