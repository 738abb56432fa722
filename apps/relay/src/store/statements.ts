/** Every statement that changes the database while the relay runs, by name: rooms send names and values, never SQL. */
export const STATEMENTS = {
  putMeta: 'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  putFleet: `INSERT INTO fleet (kind, orchestrator_id, name, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, orchestrator_id, name) DO UPDATE SET body = excluded.body`,
  dropFleet: 'DELETE FROM fleet WHERE kind = ? AND orchestrator_id = ? AND name = ?',
  hostLeft: `UPDATE fleet SET body = json_set(body, '$.state', 'offline', '$.lastSeenAt', ?)
    WHERE kind = 'orchestrator' AND orchestrator_id = ?`,
  acceptCommand: `INSERT INTO commands (id, created_at, ended_at, body, input, content_hash, by_name, by_admin, by_token, expires_at,
      was_dispatched, was_acknowledged, cancel_requested) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  changeCommand: `UPDATE commands SET ended_at = ?, body = ?, input = iif(?, NULL, input), was_dispatched = ?,
      was_acknowledged = ?, cancel_requested = ? WHERE id = ?`,
  dropCommand: 'DELETE FROM commands WHERE id = ?',
  putToken: 'INSERT INTO tokens (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body',
  addToken: 'INSERT INTO tokens (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING',
  dropToken: 'DELETE FROM tokens WHERE id = ?',
  beginAudit: `INSERT INTO audit (id, at, token_id, by_name, call, request_id, address) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  endAudit: 'INSERT INTO audit_ends (id, at, outcome) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING',
} as const

/** Name of a statement; `event` is the one whose number the writer gives. */
export type StatementName = keyof typeof STATEMENTS | 'event'
/** What a column holds. */
export type Value = string | number | null
