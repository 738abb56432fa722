const LONGEST_TIMER_MS = 2 ** 31 - 1 // what setTimeout can hold

/**
 * One callback per id on the monotonic clock, which a change of the wall clock does not move (C-7). They share one timer: nearly
 * all are cleared long before their time, and to set and clear a timer for each cost as much as to parse its command.
 */
export class Deadlines {
  readonly #waiting = new Map<string, { at: number; callback: () => void }>()
  #timer: NodeJS.Timeout | undefined
  #rings = Number.POSITIVE_INFINITY

  /** Calls back at a moment of `performance.now()`; replaces an earlier one of this id. */
  set(id: string, at: number, callback: () => void): void {
    this.#waiting.set(id, { at, callback })
    if (at < this.#rings) this.#arm(at)
  }

  /** Forgets the one of this id. */
  clear(id: string): void {
    this.#waiting.delete(id)
  }

  #arm(at: number): void {
    clearTimeout(this.#timer)
    this.#rings = at
    const delay = Math.min(Math.max(Math.ceil(at - performance.now()), 0), LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => this.#ring(), delay)
    this.#timer.unref()
  }

  // It may ring for one that was cleared: then it looks for the next.
  #ring(): void {
    this.#rings = Number.POSITIVE_INFINITY
    const now = performance.now()
    const due: { at: number; callback: () => void }[] = []
    let next = Number.POSITIVE_INFINITY
    for (const [id, one] of this.#waiting) {
      if (one.at > now) {
        next = Math.min(next, one.at)
      } else {
        this.#waiting.delete(id)
        due.push(one)
      }
    }
    if (next < this.#rings) this.#arm(next)
    for (const { callback } of due.sort((a, b) => a.at - b.at)) callback()
  }
}
