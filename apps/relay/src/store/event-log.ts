import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { EventRetention } from './messages.ts'

const WINDOW = 512 // oldest events looked at in one query

/** The events as the writer sees them: it numbers them, and forgets the oldest by count, size and age. */
export class EventLog {
  head: number
  first: number
  /** Bytes of all events ever, so that sizes are differences. */
  #total: number
  readonly #retention: EventRetention
  readonly #insert: StatementSync
  readonly #oldest: StatementSync
  readonly #forget: StatementSync
  #window: { seq: number; at: number; upto: number }[] = []

  constructor(database: DatabaseSync, retention: EventRetention) {
    this.#retention = retention
    this.#insert = database.prepare('INSERT INTO events (seq, at, upto, body) VALUES (?, ?, ?, ?)')
    this.#oldest = database.prepare('SELECT seq, at, upto FROM events WHERE seq >= ? ORDER BY seq LIMIT ?')
    this.#forget = database.prepare('DELETE FROM events WHERE seq < ?')
    const last = database
      .prepare('SELECT seq, upto + octet_length(body) AS total FROM events ORDER BY seq DESC LIMIT 1')
      .get()
    this.head = numeric(last?.['seq'], 0)
    this.#total = numeric(last?.['total'], 0)
    this.first = numeric(database.prepare('SELECT min(seq) AS seq FROM events').get()?.['seq'], this.head + 1)
  }

  /** Adds an event within the present transaction. @returns its number. */
  append(at: number, body: string): number {
    this.head += 1
    this.#insert.run(this.head, at, this.#total, body)
    this.#total += Buffer.byteLength(body)
    return this.head
  }

  /** Forgets what is beyond the limits, within the present transaction. The last event always stays: it holds the number. */
  trim(now: number): void {
    const before = this.first
    for (let row = this.#next(); row !== undefined && this.#isBeyond(row, now); row = this.#next()) {
      this.first = row.seq + 1
      this.#window.shift()
    }
    if (this.first > before) this.#forget.run(this.first)
  }

  /** What to go back to when the transaction fails. */
  mark(): () => void {
    const { head, first } = this
    const total = this.#total
    return () => {
      this.head = head
      this.first = first
      this.#total = total
      this.#window = []
    }
  }

  #next(): { seq: number; at: number; upto: number } | undefined {
    if (this.#window.length === 0)
      this.#window = this.#oldest.all(this.first, WINDOW).map((row) => ({
        seq: numeric(row['seq'], 0),
        at: numeric(row['at'], 0),
        upto: numeric(row['upto'], 0),
      }))
    return this.#window[0]
  }

  #isBeyond({ seq, at, upto }: { seq: number; at: number; upto: number }, now: number): boolean {
    if (seq >= this.head) return false
    const { maxEvents, maxBytes, maxAgeMs } = this.#retention
    return this.head - seq + 1 > maxEvents || this.#total - upto > maxBytes || now - at > maxAgeMs
  }
}

function numeric(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
