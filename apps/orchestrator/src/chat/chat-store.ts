import { DatabaseSync } from 'node:sqlite'
import { type ChatEntry, chatEntrySchema } from '@ai-orchestration/protocol'

/** Entries that are kept of one conversation; a day of uninterrupted work is about 2,000. */
const ENTRIES_MAX = 20_000
/** Entries above that before the oldest are dropped, so that it is seldom done. */
const ENTRIES_SLACK = 1_000
/**
 * What the revision grows by when the store is opened: viewers may have seen changes that a killed process had not
 * written yet, and what is read again must count as news to them. No process makes so many changes between two writes.
 */
const REOPEN_STEP = 1_000_000

/** An entry before it has its place. */
export type NewEntry = ChatEntry extends infer Entry ? (Entry extends ChatEntry ? Omit<Entry, 'order'> : never) : never

/**
 * One session's conversation on disk. Changes are collected in memory and written together by {@link flush}: with them
 * goes `note`, in which the owner remembers how far it has read what made them, so that a crash repeats the rest.
 */
export class ChatStore implements Disposable {
  readonly #db: DatabaseSync
  readonly #changed = new Map<string, { entry: ChatEntry; rev: number }>()
  #nextOrder: number
  #firstOrder: number
  #rev: number
  #isNoted = true
  #note: unknown

  /** Opens the conversation at `path`, an empty one when there is none. */
  constructor(path: string) {
    this.#db = new DatabaseSync(path)
    // What a power cut could take is still in the agent's own output, which is read again.
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000')
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS entry (id TEXT PRIMARY KEY, ord INTEGER NOT NULL, rev INTEGER NOT NULL, json TEXT NOT NULL);
      CREATE UNIQUE INDEX IF NOT EXISTS entry_by_order ON entry (ord);
      CREATE INDEX IF NOT EXISTS entry_by_rev ON entry (rev);
      CREATE TABLE IF NOT EXISTS note (one INTEGER PRIMARY KEY CHECK (one = 1), rev INTEGER NOT NULL, json TEXT NOT NULL);
    `)
    const last = this.#db.prepare('SELECT min(ord) AS first, max(ord) AS ord, max(rev) AS rev FROM entry').get()
    this.#firstOrder = Number(last?.['first'] ?? 1)
    const note = this.#db.prepare('SELECT rev, json FROM note').get()
    this.#nextOrder = Number(last?.['ord'] ?? 0) + 1
    const rev = Math.max(Number(last?.['rev'] ?? 0), Number(note?.['rev'] ?? 0))
    this.#rev = rev === 0 ? 0 : rev + REOPEN_STEP
    this.#note = note === undefined ? undefined : JSON.parse(String(note['json']))
  }

  /** Counts every change. */
  get rev(): number {
    return this.#rev
  }

  /** The place the next new entry gets. */
  get nextOrder(): number {
    return this.#nextOrder
  }

  /** What was noted last; undefined in a new conversation. */
  get note(): unknown {
    return this.#note
  }

  /** Sets what goes to disk with the next {@link flush}. */
  setNote(note: unknown): void {
    this.#note = note
    this.#isNoted = false
  }

  /** Counts a change that is in no entry. */
  bump(): number {
    this.#rev += 1
    this.#isNoted = false
    return this.#rev
  }

  /** Adds an entry at the end. */
  add(entry: NewEntry): ChatEntry {
    const placed: ChatEntry = { ...entry, order: this.#nextOrder }
    this.#nextOrder += 1
    this.put(placed)
    return placed
  }

  /** Replaces an entry and puts it at the end, where it may be already. */
  putAtEnd(entry: ChatEntry): ChatEntry {
    if (entry.order === this.#nextOrder - 1) {
      this.put(entry)
      return entry
    }
    return this.add(entry)
  }

  /** Replaces an entry. */
  put(entry: ChatEntry): void {
    this.#rev += 1
    this.#changed.set(entry.id, { entry, rev: this.#rev })
  }

  /** One entry. */
  get(id: string): ChatEntry | undefined {
    const changed = this.#changed.get(id)
    if (changed !== undefined) return changed.entry
    const row = this.#db.prepare('SELECT json FROM entry WHERE id = ?').get(id)
    return row === undefined ? undefined : parseEntry(row['json'])
  }

  /** Writes what has changed, all of it or nothing. */
  flush(): void {
    if (this.#changed.size === 0 && this.#isNoted) return
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const put = this.#db.prepare(
        'INSERT INTO entry (id, ord, rev, json) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ord = excluded.ord, rev = excluded.rev, json = excluded.json',
      )
      for (const { entry, rev } of this.#changed.values()) put.run(entry.id, entry.order, rev, JSON.stringify(entry))
      this.#db
        .prepare(
          'INSERT INTO note (one, rev, json) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET rev = excluded.rev, json = excluded.json',
        )
        .run(this.#rev, JSON.stringify(this.#note ?? null))
      if (this.#nextOrder - this.#firstOrder > ENTRIES_MAX + ENTRIES_SLACK) {
        this.#firstOrder = this.#nextOrder - ENTRIES_MAX
        this.#db.prepare('DELETE FROM entry WHERE ord < ?').run(this.#firstOrder)
      }
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#db.exec('ROLLBACK')
      throw error
    }
    this.#changed.clear()
    this.#isNoted = true
  }

  /** Entries that changed after `rev`, as they are now, in the order of their change. */
  changedAfter(rev: number, limit: number): { entry: ChatEntry; rev: number }[] {
    this.flush()
    const rows = this.#db.prepare('SELECT rev, json FROM entry WHERE rev > ? ORDER BY rev LIMIT ?').all(rev, limit)
    return rows.map((row) => ({ rev: Number(row['rev']), entry: parseEntry(row['json']) }))
  }

  /** The `limit` entries before `order`, or the last ones, oldest first. */
  before(order: number | undefined, limit: number): ChatEntry[] {
    this.flush()
    const rows = this.#db
      .prepare('SELECT json FROM entry WHERE ord < ? ORDER BY ord DESC LIMIT ?')
      .all(order ?? Number.MAX_SAFE_INTEGER, limit)
    return rows.map((row) => parseEntry(row['json'])).reverse()
  }

  [Symbol.dispose](): void {
    this.flush()
    this.#db.close()
  }
}

function parseEntry(json: unknown): ChatEntry {
  return chatEntrySchema.parse(JSON.parse(String(json)))
}
