import type { AioEvent } from '@ai-orchestration/protocol'
import { fleetChange } from '../fleet/fleet-record.ts'
import { isoTime } from '../iso-time.ts'
import { seal, unseal } from '../store/sealed-text.ts'
import type { Store, Write } from '../store/store.ts'
import type { Journal, Unstamped } from './journal.ts'
import { RecentEvents } from './recent-events.ts'
import { Waiting } from './waiting.ts'

const NOTHING: Write = { statement: 'dropFleet', values: ['', '', ''] } // stands where a refused event stood
const RECENT = { maxEvents: 20_000, maxBytes: 32 * 1024 * 1024 }
const PAGE_BYTES = 1024 * 1024 // of old events read at once: it is done between the turns of everyone else

/**
 * The journal on disk. An event can be read only once it is on stable storage, so no crash takes back what somebody has seen,
 * and its epoch goes on over restarts (E-1, E-2).
 */
export class DurableJournal implements Journal {
  readonly epoch: string
  readonly otherEpochReason: 'epoch' | 'corruption'
  head: number
  readonly #store: Store
  readonly #now: () => number
  readonly #recent = new RecentEvents(RECENT)
  readonly #waiting = new Waiting()

  constructor(options: { store: Store; now?: () => number }) {
    const { epoch, origin, head } = options.store.opened
    this.epoch = epoch
    this.otherEpochReason = origin === 'corruption' ? 'corruption' : 'epoch'
    this.head = head
    this.#store = options.store
    this.#now = options.now ?? Date.now
  }

  append(event: Unstamped): void {
    const { write, at } = this.#writeOf(event)
    this.#store.add(write)
    const change = fleetChange(event, at)
    if (change !== undefined) this.#store.add(change)
  }

  appendWith(event: Unstamped): void {
    if (this.#store.trouble !== undefined) return
    this.#store.add({ ...this.#writeOf(event).write, refusal: { undo: NOTHING, onRefused: () => undefined } })
  }

  settled(): Promise<void> {
    return this.#store.settled()
  }

  read(after: number, limit: number): readonly AioEvent[] | undefined {
    if (after > this.head || after + 1 < this.#store.firstKept) return undefined
    const firstRecent = this.head - this.#recent.length + 1
    return after + 1 >= firstRecent ? this.#recent.slice(after + 1 - firstRecent, limit) : this.#readOld(after, limit)
  }

  isDamagedBehind(after: number): boolean {
    return this.#store.isDamaged('events', after + 1)
  }

  async waitBeyond(after: number, signal: AbortSignal): Promise<void> {
    if (this.head <= after) await this.#waiting.wait(signal)
  }

  #writeOf(event: Unstamped): { write: Write; at: string } {
    const now = this.#now()
    const at = isoTime(now)
    const body = JSON.stringify({ ...event, at })
    const onCommitted = (seq: number) => {
      this.head = seq
      this.#store.tally.eventBytes += body.length
      this.#recent.push({ ...event, position: `${this.epoch}.${seq}`, at }, body.length)
      this.#waiting.wake()
    }
    return { write: { statement: 'event', values: [now, seal(body)], onCommitted }, at }
  }

  #readOld(after: number, limit: number): readonly AioEvent[] | undefined {
    const events: AioEvent[] = []
    let bytes = 0
    for (const row of this.#store.each(
      'SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?',
      after,
      limit,
    )) {
      // They may have been forgotten since the writer last told.
      if (row['seq'] !== after + events.length + 1) return undefined
      const body = unseal(String(row['body']))
      if (body === undefined) {
        this.#store.reportDamage('events', Number(row['seq']))
        break
      }
      events.push({ ...JSON.parse(body), position: `${this.epoch}.${row['seq']}` })
      bytes += body.length
      if (bytes >= PAGE_BYTES) break
    }
    return events.length === 0 ? undefined : events
  }
}
