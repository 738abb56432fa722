/** Each entry brings the database from the version of its index to the next. Entries are only ever added, never changed. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- upto: bytes of all events before this one, so that the size of any stretch is one subtraction.
  CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, upto INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

  -- The last known state of the machines, changed with the events that tell of it. The row ids keep who had a name first.
  CREATE TABLE fleet (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, orchestrator_id TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (kind, orchestrator_id, name)
  ) STRICT;

  CREATE TABLE commands (
    id TEXT PRIMARY KEY, created_at TEXT NOT NULL, ended_at INTEGER, body TEXT NOT NULL, input TEXT, content_hash TEXT,
    by_name TEXT NOT NULL, by_admin INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    was_dispatched INTEGER NOT NULL, was_acknowledged INTEGER NOT NULL, cancel_requested INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX commands_by_age ON commands (created_at);

  CREATE TABLE tokens (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;

  -- A call is written when it begins and again when it ends; neither row is ever changed.
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, token_id TEXT NOT NULL, by_name TEXT NOT NULL, call TEXT NOT NULL,
    command_id TEXT, address TEXT NOT NULL
  ) STRICT;
  CREATE TABLE audit_ends (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, outcome TEXT NOT NULL) STRICT;
  CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
  CREATE TRIGGER audit_ends_is_append_only BEFORE UPDATE ON audit_ends
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
  `,
  `
  -- Which token asked, for whoever carries the command out; not known of commands from before.
  ALTER TABLE commands ADD COLUMN by_token TEXT;
  `,
  // Every call has an id, which is that of its command where it has one.
  'ALTER TABLE audit RENAME COLUMN command_id TO request_id',
]
