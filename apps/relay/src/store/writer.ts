// The thread that owns the relay's database: no fsync ever holds up the relay's event loop.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { toAioError } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { Reserve } from '../disk/reserve.ts'
import { lockDatabase, openDatabase, reopenDatabase, type SetAside } from './database.ts'
import { EventLog } from './event-log.ts'
import type { FromWriter, Opened, ToWriter, WriterOptions } from './messages.ts'
import { STATEMENTS, type StatementName, type Value } from './statements.ts'

const HOUSEKEEPING_MS = 60_000
const DAY_MS = 24 * 3_600_000
const COMMANDS_KEPT_MS = 8 * DAY_MS // C-3 promises seven days; the eighth is for clocks that disagree
const AUDIT_KEPT_MS = 400 * DAY_MS
const FULL = 13 // SQLITE_FULL
const FORGET_AT_ONCE = 1_000 // rows per turn of housekeeping, so that a batch waits no longer than that takes

class Writer {
  readonly #path: string
  readonly #options: WriterOptions
  readonly #lock: DatabaseSync
  readonly #reserve: Reserve
  #database: DatabaseSync
  #events: EventLog
  #statements = new Map<StatementName, StatementSync>()
  /** A write has failed: what the connection believes may not be what the disk holds. */
  #isSuspect = false
  readonly opened: Opened

  constructor(options: WriterOptions) {
    this.#options = options
    this.#path = options.path
    this.#lock = lockDatabase(options.path)
    this.#reserve = new Reserve(`${options.path}.reserve`, options.reserveBytes)
    const { database, setAside } = openDatabase(options.path)
    this.#database = database
    this.#events = new EventLog(database, options.retention)
    this.opened = this.#begin(setAside)
  }

  /** Writes a batch in one transaction, with one fsync. @throws Error of SQLite; then none of it was written. */
  write(writes: readonly [StatementName, Value[]][]): Omit<Extract<FromWriter, { type: 'written' }>, 'type'> {
    this.#reopenIfSuspect()
    const back = this.#events.mark()
    const firstSeq = this.#events.head + 1
    let startedAt = 0
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      for (const [name, values] of writes) this.#run(name, values)
      this.#events.trim(Date.now())
      startedAt = performance.now()
      pause(this.#options.commitDelayMs)
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#isSuspect = true
      back()
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      if (isFull(error)) this.#reserve.free() // for the next attempt, without what is new
      throw error
    }
    const commitMs = performance.now() - startedAt
    return { firstSeq, firstKept: this.#events.first, commitMs, hasReserve: this.#reserve.make() }
  }

  /** Forgets what is too old, a little at a time. */
  tidy(): void {
    const now = Date.now()
    const before = new Date(now - COMMANDS_KEPT_MS)
    this.write([])
    this.#database
      .prepare(
        'DELETE FROM commands WHERE rowid IN (SELECT rowid FROM commands WHERE created_at < ? AND ended_at < ? LIMIT ?)',
      )
      .run(before.toISOString(), before.getTime(), FORGET_AT_ONCE)
    for (const table of ['audit', 'audit_ends'])
      this.#database
        .prepare(`DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE at < ? ORDER BY id LIMIT ?)`)
        .run(now - AUDIT_KEPT_MS, FORGET_AT_ONCE)
  }

  close(): void {
    this.#database.close()
    this.#lock.close()
  }

  #begin(setAside: SetAside | undefined): Opened {
    const origin = setAside === undefined ? 'fresh' : 'corruption'
    this.#database
      .prepare("INSERT INTO meta (key, value) VALUES ('epoch', ?), ('origin', ?) ON CONFLICT (key) DO NOTHING")
      .run(ulid(), origin)
    return {
      epoch: this.#meta('epoch'),
      origin: this.#meta('origin') === 'corruption' ? 'corruption' : 'fresh',
      head: this.#events.head,
      first: this.#events.first,
      hasReserve: this.#reserve.make(),
      setAside,
    }
  }

  #meta(key: string): string {
    return String(this.#database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'])
  }

  #run(name: StatementName, values: Value[]): void {
    if (name === 'event') {
      this.#events.append(Number(values[0]), String(values[1]))
      return
    }
    let statement = this.#statements.get(name)
    if (statement === undefined) {
      statement = this.#database.prepare(STATEMENTS[name])
      this.#statements.set(name, statement)
    }
    statement.run(...values)
  }

  // After a failed fsync only the disk knows what is there. What was called not written must not come back later.
  #reopenIfSuspect(): void {
    if (!this.#isSuspect) return
    const { head } = this.#events
    const database = reopenDatabase(this.#path)
    try {
      database.prepare('DELETE FROM events WHERE seq > ?').run(head)
      this.#events = new EventLog(database, this.#options.retention)
    } catch (error) {
      database.close()
      throw error
    }
    this.#database.close()
    this.#database = database
    this.#statements = new Map()
    this.#isSuspect = false
  }
}

function isFull(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'errcode') : undefined
  return typeof code === 'number' && (code & 0xff) === FULL
}

// This thread waits, as it does for the disk.
function pause(ms: number | undefined): void {
  if (ms !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function say(message: FromWriter): void {
  parentPort?.postMessage(message)
}

function messageOf(error: unknown): string {
  const detail: unknown = error instanceof Error ? Reflect.get(error, 'errcode') : undefined
  return `${error instanceof Error ? error.message : String(error)}${typeof detail === 'number' ? ` (SQLite ${detail})` : ''}`
}

function tidy(writer: Writer): void {
  try {
    writer.tidy()
  } catch (error) {
    say({ type: 'untidy', message: messageOf(error) })
  }
}

function start(options: WriterOptions): void {
  const writer = new Writer(options)
  const tidying = setInterval(() => tidy(writer), HOUSEKEEPING_MS)
  parentPort?.on('message', (message: ToWriter) => {
    if (message.type === 'close') {
      clearInterval(tidying)
      writer.close()
      parentPort?.close()
      return
    }
    try {
      say({ type: 'written', ...writer.write(message.writes) })
    } catch (error) {
      say({ type: 'failed', message: messageOf(error) })
    }
  })
  say({ type: 'opened', opened: writer.opened })
  setImmediate(() => tidy(writer))
}

try {
  start(workerData)
} catch (error) {
  const { code, message } = toAioError(error)
  say({ type: 'refused', code, message })
}
