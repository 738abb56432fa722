import type { ErrorCode } from '@ai-orchestration/protocol'
import { Buckets, CALL_SECONDS } from './buckets.ts'
import { Counts } from './counts.ts'

/** How the calls of one procedure went. */
export interface ProcedureCalls {
  readonly outcomes: Counts<ErrorCode | 'ok'>
  readonly seconds: Buckets
}

/** Counts calls by procedure and outcome; the router names the procedures, so there are only so many. */
export class Calls {
  readonly #procedures = new Map<string, ProcedureCalls>()

  /** A call has been answered, or refused. @param startedAt of `performance.now()`. */
  ended(procedure: string, outcome: ErrorCode | 'ok', startedAt: number): void {
    let calls = this.#procedures.get(procedure)
    if (calls === undefined) {
      calls = { outcomes: new Counts(), seconds: new Buckets(CALL_SECONDS) }
      this.#procedures.set(procedure, calls)
    }
    calls.outcomes.add(outcome)
    calls.seconds.add((performance.now() - startedAt) / 1_000)
  }

  [Symbol.iterator](): IterableIterator<[string, ProcedureCalls]> {
    return this.#procedures.entries()
  }
}
