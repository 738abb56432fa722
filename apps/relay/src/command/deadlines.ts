const LONGEST_TIMER_MS = 2 ** 31 - 1 // what setTimeout can hold

/** One timer per id on the monotonic clock, which a change of the wall clock does not move (C-7). */
export class Deadlines {
  readonly #timers = new Map<string, NodeJS.Timeout>()

  /** Calls back at a moment of `performance.now()`; replaces an earlier one of this id. */
  set(id: string, at: number, callback: () => void): void {
    this.clear(id)
    const timer = setTimeout(
      () => {
        this.#timers.delete(id)
        callback()
      },
      Math.min(Math.max(at - performance.now(), 0), LONGEST_TIMER_MS),
    )
    timer.unref()
    this.#timers.set(id, timer)
  }

  /** Forgets the one of this id. */
  clear(id: string): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }
}
