import type { AioEvent } from '@ai-orchestration/protocol'

/** The newest events in memory, bounded by count and size: what nearly every reader asks for. */
export class RecentEvents {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #entries: { event: AioEvent; bytes: number }[] = []
  /** Index of the oldest kept entry: the array is cut now and then, not at every event. */
  #start = 0
  #bytes = 0

  constructor(options: { maxEvents: number; maxBytes: number }) {
    this.#maxEvents = options.maxEvents
    this.#maxBytes = options.maxBytes
  }

  /** How many there are. */
  get length(): number {
    return this.#entries.length - this.#start
  }

  /** Adds the next one; `bytes` is about its size. */
  push(event: AioEvent, bytes: number): void {
    this.#entries.push({ event, bytes })
    this.#bytes += bytes
    while (this.length > this.#maxEvents || this.#bytes > this.#maxBytes) {
      const oldest = this.#entries[this.#start]
      if (oldest === undefined) break
      this.#bytes -= oldest.bytes
      this.#start += 1
    }
    if (this.#start > 1_024 && this.#start > this.#entries.length / 2) {
      this.#entries.splice(0, this.#start)
      this.#start = 0
    }
  }

  /** Up to `limit` of them, leaving out the oldest `skip`. */
  slice(skip: number, limit: number): AioEvent[] {
    const from = this.#start + skip
    return this.#entries.slice(from, from + limit).map((entry) => entry.event)
  }
}
