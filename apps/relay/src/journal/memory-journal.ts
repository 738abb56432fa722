import type { AioEvent } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { isoTime } from '../iso-time.ts'
import type { Journal, Unstamped } from './journal.ts'
import { RecentEvents } from './recent-events.ts'
import { Waiting } from './waiting.ts'

/** How much is kept before the oldest is forgotten. */
export interface Retention {
  maxEvents: number
  maxBytes: number
}

const RETENTION: Retention = { maxEvents: 100_000, maxBytes: 64 * 1024 * 1024 }

/** A journal that lives as long as the process, for tests and as a baseline: each start of the relay is a new epoch. */
export class MemoryJournal implements Journal {
  readonly epoch = ulid()
  readonly otherEpochReason = 'epoch'
  head = 0
  readonly #now: () => number
  readonly #events: RecentEvents
  readonly #waiting = new Waiting()

  constructor(options: { retention?: Partial<Retention>; now?: () => number } = {}) {
    this.#events = new RecentEvents({ ...RETENTION, ...options.retention })
    this.#now = options.now ?? Date.now
  }

  append(event: Unstamped): AioEvent {
    this.head += 1
    const stamped: AioEvent = {
      ...event,
      position: `${this.epoch}.${this.head}`,
      at: isoTime(this.#now()),
    }
    this.#events.push(stamped, JSON.stringify(stamped).length)
    this.#waiting.wake()
    return stamped
  }

  appendWith(event: Unstamped): void {
    this.append(event)
  }

  settled(): Promise<void> {
    return Promise.resolve()
  }

  read(after: number, limit: number): readonly AioEvent[] | undefined {
    const firstKept = this.head - this.#events.length + 1
    if (after > this.head || after + 1 < firstKept) return undefined
    return this.#events.slice(after + 1 - firstKept, limit)
  }

  isDamagedBehind(): boolean {
    return false
  }

  async waitBeyond(after: number, signal: AbortSignal): Promise<void> {
    if (this.head <= after) await this.#waiting.wait(signal)
  }
}
