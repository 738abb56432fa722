import type { AuditRecord } from '@ai-orchestration/protocol'
import { isoTime } from '../iso-time.ts'
import type { Audit, AuditedCall } from './audit.ts'

const KEPT = 1_000

/** The audit for tests and as a baseline: the last thousand calls, as long as the process lives. */
export class MemoryAudit implements Audit {
  readonly #records: AuditRecord[] = []
  #last = 0

  begin({ principal, call, requestId, address }: AuditedCall): (outcome: string) => void {
    this.#last += 1
    const record: AuditRecord = {
      id: this.#last,
      at: isoTime(Date.now()),
      tokenId: principal.tokenId,
      by: principal.name,
      call,
      address,
      requestId,
    }
    this.#records.push(record)
    if (this.#records.length > KEPT) this.#records.shift()
    return (outcome) => {
      record.outcome = outcome
      record.endedAt = isoTime(Date.now())
    }
  }

  list({ limit, before = Number.MAX_SAFE_INTEGER }: { limit: number; before?: number | undefined }): AuditRecord[] {
    return this.#records
      .filter(({ id }) => id < before)
      .slice(-limit)
      .reverse()
  }
}
