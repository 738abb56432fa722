import type { DatabaseSync } from 'node:sqlite'
import { AioError } from '@ai-orchestration/protocol'

/** Each brings the database from the version of its index to the next one; what has been released is never changed. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE commands (
    command_id TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    project_id TEXT,
    session_id TEXT,
    state TEXT NOT NULL,
    -- Of the wall clock, in milliseconds: only for retention and for people.
    changed_at INTEGER NOT NULL,
    -- The command's last event as JSON, once there is one.
    final TEXT
  ) STRICT;
  CREATE INDEX commands_by_age ON commands (changed_at) WHERE final IS NOT NULL;
  CREATE INDEX commands_unfinished ON commands (changed_at) WHERE final IS NULL;
  CREATE TABLE steps (
    command_id TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (command_id, name)
  ) STRICT;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    -- So many events right before this one were dropped.
    lost INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  `,
  `
  -- Questions to people; the id is a ULID, so the order is that in which they were asked.
  CREATE TABLE questions (id TEXT PRIMARY KEY, is_pending INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
]

/** Version of the database that this release writes. */
export const JOURNAL_VERSION = MIGRATIONS.length

/**
 * Brings a database up to date, one version after the other, each in a transaction of its own.
 *
 * @throws AioError UPGRADE_REQUIRED when a newer release has written it.
 */
export function migrate(database: DatabaseSync, path: string): void {
  const version = versionOf(database)
  if (version > JOURNAL_VERSION)
    throw new AioError(
      'UPGRADE_REQUIRED',
      `${path} was written by a newer release (version ${version}; this one knows ${JOURNAL_VERSION}). Start that release again, or restore the file from a backup of this one.`,
    )
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue
    database.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`)
  }
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0)
}
