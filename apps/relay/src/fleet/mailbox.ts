/** A queue in order from many writers to one reader, with an account of its size. */
export class Mailbox<T> {
  #items: { item: T; bytes: number }[] = []
  #bytes = 0
  #isClosed = false
  #pouring: { take: (item: T) => void; onEnd: () => void } | undefined
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
    if (this.#pouring !== undefined) {
      this.#pouring.take(item)
      return
    }
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
    this.#pouring?.onEnd()
    this.#pouring = undefined
  }

  /** Resolves once fewer bytes than that wait, or it is closed. */
  async drainedBelow(bytes: number): Promise<void> {
    if (this.#bytes < bytes || this.#isClosed) return
    await new Promise<void>((resolve) => {
      this.#waiting.push({ below: bytes, resolve })
    })
  }

  /** Hands every item over as it comes, those that wait first, until it is closed or the answer is called. */
  pour(take: (item: T) => void, onEnd: () => void): () => void {
    const items = this.#items
    this.clear()
    const pouring = { take, onEnd }
    this.#pouring?.onEnd() // one reader at a time: the newer connection of the same machine
    this.#pouring = pouring
    if (this.#isClosed) onEnd()
    for (const { item } of items) take(item)
    return () => {
      if (this.#pouring === pouring) this.#pouring = undefined
    }
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
