/** How long a full bucket lasts above its rate, in seconds: a page that loads asks for much at once. */
const BURST_S = 2
const KEYS_MAX = 20_000

interface Bucket {
  level: number
  at: number
}

/** Token buckets by key, in bounded memory. */
export class TokenBuckets {
  readonly #perMs: number
  readonly #burst: number
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: { perSecond: number; now: () => number }) {
    this.#perMs = options.perSecond / 1_000
    this.#burst = options.perSecond * BURST_S
    this.#now = options.now
  }

  /** Takes so many, and answers 0; or takes none, and answers how many milliseconds from now they will be there. */
  take(key: string, count: number): number {
    const now = this.#now()
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      if (this.#buckets.size >= KEYS_MAX) this.#forgetHalf(now)
      bucket = { level: this.#burst, at: now }
      this.#buckets.set(key, bucket)
    }
    bucket.level = Math.min(this.#burst, bucket.level + (now - bucket.at) * this.#perMs)
    bucket.at = now
    const missing = Math.min(count, this.#burst) - bucket.level
    if (missing > 0) return Math.ceil(missing / this.#perMs)
    bucket.level -= count
    return 0
  }

  // One that has filled up again is as good as none. When there are too many others, the oldest go; half at once, as looking costs.
  #forgetHalf(now: number): void {
    for (const [key, { level, at }] of this.#buckets)
      if (level + (now - at) * this.#perMs >= this.#burst) this.#buckets.delete(key)
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size <= KEYS_MAX / 2) return
      this.#buckets.delete(key)
    }
  }
}
