import type { AuditRecord, Principal } from '@ai-orchestration/protocol'

/** A state-changing call, as it begins. */
export interface AuditedCall {
  principal: Principal
  call: string
  /** The id of the command that the call is about, where it is about one. */
  requestId: string
  address: string
}

/** The record of who changed what: it only grows, and holds no inputs. */
export interface Audit {
  /** A call begins. @returns what to say at its end: `ok`, or the code of its error. */
  begin(call: AuditedCall): (outcome: string) => void
  /** Records, newest first, from before the number of one of them. */
  list(options: { limit: number; before?: number | undefined }): AuditRecord[]
}
