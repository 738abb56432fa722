/** Counts failures per address within a window, in bounded memory. */
export class FailureLimit {
  readonly #counts = new Map<string, { count: number; until: number }>()
  readonly #max: number
  readonly #windowMs: number
  readonly #now: () => number

  constructor(options: { max: number; windowMs: number; now?: () => number }) {
    this.#max = options.max
    this.#windowMs = options.windowMs
    this.#now = options.now ?? Date.now
  }

  /** Counts one failure and tells whether this address has had too many. */
  failed(address: string): boolean {
    const now = this.#now()
    const entry = this.#counts.get(address)
    const current = entry !== undefined && entry.until > now ? entry : { count: 0, until: now + this.#windowMs }
    current.count += 1
    this.#counts.delete(address)
    this.#counts.set(address, current)
    if (this.#counts.size > ADDRESSES_MAX) this.#forgetOldest()
    return current.count > this.#max
  }

  #forgetOldest(): void {
    const [oldest] = this.#counts.keys()
    if (oldest !== undefined) this.#counts.delete(oldest)
  }
}

const ADDRESSES_MAX = 10_000
