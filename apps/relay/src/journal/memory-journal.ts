import type { AioEvent } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import type { Journal, Unstamped } from './journal.ts'

/** How much is kept before the oldest is forgotten. */
export interface Retention {
  maxEvents: number
  maxBytes: number
}

const RETENTION: Retention = { maxEvents: 100_000, maxBytes: 64 * 1024 * 1024 }

/** A journal that lives as long as the process: each start of the relay is a new epoch. */
export class MemoryJournal implements Journal {
  readonly epoch = ulid()
  head = 0
  readonly #retention: Retention
  readonly #now: () => number
  readonly #entries: { event: AioEvent; bytes: number }[] = []
  /** Index of the oldest kept entry: the array is cut now and then, not at every event. */
  #start = 0
  #bytes = 0
  readonly #waiting = new Set<() => void>()

  constructor(options: { retention?: Partial<Retention>; now?: () => number } = {}) {
    this.#retention = { ...RETENTION, ...options.retention }
    this.#now = options.now ?? Date.now
  }

  append(event: Unstamped): AioEvent {
    this.head += 1
    const stamped: AioEvent = {
      ...event,
      position: `${this.epoch}.${this.head}`,
      at: new Date(this.#now()).toISOString(),
    }
    const bytes = JSON.stringify(stamped).length
    this.#entries.push({ event: stamped, bytes })
    this.#bytes += bytes
    this.#forgetOld()
    for (const wake of this.#waiting) wake()
    return stamped
  }

  read(after: number, limit: number): readonly AioEvent[] | undefined {
    const kept = this.#entries.length - this.#start
    const firstKept = this.head - kept + 1
    if (after > this.head || after + 1 < firstKept) return undefined
    const from = this.#start + (after + 1 - firstKept)
    return this.#entries.slice(from, from + limit).map((entry) => entry.event)
  }

  async waitBeyond(after: number, signal: AbortSignal): Promise<void> {
    if (this.head > after || signal.aborted) return
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  #forgetOld(): void {
    const { maxEvents, maxBytes } = this.#retention
    while (this.#entries.length - this.#start > maxEvents || this.#bytes > maxBytes) {
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
}
