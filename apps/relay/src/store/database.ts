import { closeSync, existsSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AioError } from '@ai-orchestration/protocol'
import { MIGRATIONS } from './migrations.ts'

const CORRUPT = 11 // SQLITE_CORRUPT
const NOT_A_DATABASE = 26 // SQLITE_NOTADB
const WAL_KEPT_BYTES = 64 * 1024 * 1024

/** A database that was moved away because it cannot be trusted. */
export interface SetAside {
  path: string
  why: string
}

/**
 * Keeps other relays away from a database for as long as the process lives; the kernel lets go of it also at a crash.
 *
 * @throws AioError CONFLICT
 */
export function lockDatabase(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const lock = new DatabaseSync(join(dirname(path), 'relay.lock'))
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    throw new AioError(
      'CONFLICT',
      `Another relay uses the database ${path}. Use that one, stop it, or set another AIO_HOME.`,
      { cause: error },
    )
  }
}

/**
 * Opens the relay's database for its one writer, brings it up to date and checks it. A damaged one is moved away, with its
 * log, and a new one takes its place: nothing of it is ever replayed.
 *
 * @throws AioError UPGRADE_REQUIRED when a newer relay wrote it; then it is left as it is.
 */
export function openDatabase(path: string): { database: DatabaseSync; setAside: SetAside | undefined } {
  try {
    return { database: openChecked(path), setAside: undefined }
  } catch (error) {
    if (!isDamage(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    const setAside = { path: moveAway(path), why }
    return { database: openChecked(path), setAside }
  }
}

/** Opens a database that was open before, without looking at all of it again. */
export function reopenDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  configure(database)
  return database
}

class Damage extends Error {}

function isDamage(error: unknown): boolean {
  if (error instanceof Damage) return true
  const code: unknown = error instanceof Error ? Reflect.get(error, 'errcode') : undefined
  return typeof code === 'number' && ((code & 0xff) === CORRUPT || (code & 0xff) === NOT_A_DATABASE)
}

function openChecked(path: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600)) // SQLite would make it readable by others; its log files follow its mode
  const database = new DatabaseSync(path)
  try {
    const version = numberOf(database, 'PRAGMA user_version')
    if (version > MIGRATIONS.length)
      throw new AioError(
        'UPGRADE_REQUIRED',
        `The database ${path} was written by a newer relay (its version is ${version}, this relay knows ${MIGRATIONS.length}). Update this installation, or set another AIO_HOME.`,
      )
    check(database)
    configure(database)
    migrate(database, version)
    checkEvents(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function configure(database: DatabaseSync): void {
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST; PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`,
  )
}

function check(database: DatabaseSync): void {
  const [row] = database.prepare('PRAGMA quick_check(1)').all()
  const found = row === undefined ? undefined : Object.values(row)[0]
  if (found !== 'ok') throw new Damage(String(found))
}

// A hole in the numbers would be a silent one for whoever resumes over it.
function checkEvents(database: DatabaseSync): void {
  const missing = numberOf(database, 'SELECT coalesce(max(seq) - min(seq) + 1, 0) - count(*) FROM events')
  if (missing !== 0) throw new Damage(`${missing} events are missing`)
}

function migrate(database: DatabaseSync, version: number): void {
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < version) continue
    database.exec('BEGIN IMMEDIATE')
    try {
      database.exec(`${migration}; PRAGMA user_version = ${index + 1}; COMMIT`)
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
}

function moveAway(path: string): string {
  const name = `${path}.corrupt-${new Date().toISOString().replaceAll(':', '-')}`
  for (const suffix of ['', '-wal', '-shm'])
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${name}${suffix}`)
  return name
}

/** The one number that a query answers. */
export function numberOf(database: DatabaseSync, query: string): number {
  const row = database.prepare(query).get()
  const value = row === undefined ? undefined : Object.values(row)[0]
  return typeof value === 'number' ? value : 0
}
