import { type AuditRecord, auditRecordSchema } from '@ai-orchestration/protocol'
import { isoTime } from '../iso-time.ts'
import type { Row, Store } from '../store/store.ts'
import type { Audit, AuditedCall } from './audit.ts'

/** The audit on disk. A call is there from its beginning on, so that a crash in its midst hides nothing. */
export class DurableAudit implements Audit {
  readonly #store: Store
  readonly #now: () => number
  #last: number

  constructor(options: { store: Store; now?: () => number }) {
    this.#store = options.store
    this.#now = options.now ?? Date.now
    this.#last = Number(this.#store.rows('SELECT coalesce(max(id), 0) AS id FROM audit')[0]?.['id'])
  }

  begin({ principal, call, requestId, address }: AuditedCall): (outcome: string) => void {
    this.#last += 1
    const id = this.#last
    const { tokenId, name } = principal
    const begun = [id, this.#now(), tokenId, name, call, requestId, address]
    this.#store.add({ statement: 'beginAudit', values: begun })
    return (outcome) => this.#store.add({ statement: 'endAudit', values: [id, this.#now(), outcome] })
  }

  list({ limit, before = Number.MAX_SAFE_INTEGER }: { limit: number; before?: number | undefined }): AuditRecord[] {
    return this.#store
      .rows(
        `SELECT audit.*, audit_ends.at AS ended_at, outcome FROM audit LEFT JOIN audit_ends USING (id)
          WHERE id < ? ORDER BY id DESC LIMIT ?`,
        before,
        limit,
      )
      .map(recordOf)
  }
}

function recordOf(row: Row): AuditRecord {
  const { request_id: requestId, ended_at: endedAt, outcome } = row
  return auditRecordSchema.parse({
    id: row['id'],
    at: isoTime(Number(row['at'])),
    tokenId: row['token_id'],
    by: row['by_name'],
    call: row['call'],
    address: row['address'],
    ...(requestId === null ? {} : { requestId }),
    ...(outcome === null ? {} : { outcome, endedAt: isoTime(Number(endedAt)) }),
  })
}
