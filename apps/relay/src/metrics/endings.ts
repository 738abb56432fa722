import type { Command, CommandState } from '@ai-orchestration/protocol'
import { Buckets, CALL_SECONDS } from './buckets.ts'
import { Counts } from './counts.ts'

/** Counts how commands ended, and how long that took from their acceptance. */
export class Endings {
  readonly states = new Counts<CommandState>()
  readonly seconds = new Buckets(CALL_SECONDS)

  /** A command has ended. Its times are of the wall clock, so that they hold over a restart. */
  add({ state, createdAt, updatedAt }: Command): void {
    this.states.add(state)
    this.seconds.add(Math.max(0, Date.parse(updatedAt) - Date.parse(createdAt)) / 1_000)
  }
}
