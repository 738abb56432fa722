import type { CommandState, OrchestratorEvent, Question, Step } from '@ai-orchestration/protocol'

/** How a command ended, as it is told to the relay. */
export type FinalEvent = Extract<OrchestratorEvent, { type: 'command_result' | 'command_error' }>

/** A command as the journal names it: whom it is about, and nothing of its input, which may be private. */
export interface CommandFacts {
  commandId: string
  command: string
  projectId: string | undefined
  sessionId: string | undefined
}

/** A command that was started and whose end was never written: an orchestrator died while it ran. */
export interface Unfinished extends CommandFacts {
  /** Its steps in the order in which they were started, each with what was last known of it. */
  steps: Pick<Step, 'name' | 'state'>[]
}

/** What becomes of an event when there is no room: progress is dropped first, a final state never. */
export type ItemKind = 'progress' | 'state' | 'final'

/** One event on its way to the relay. */
export interface OutboxItem {
  seq: number
  kind: ItemKind
  /** The event as JSON. */
  text: string
  /** So many events right before this one were dropped. */
  lost: number
}

/** One change to the journal, or one question to it. */
export type JournalOp =
  /** Answers the final event as JSON when the command is known and has ended. */
  | { type: 'find'; commandId: string }
  /** Answers `known` when this command was started or has ended before; then nothing is changed. */
  | { type: 'start'; facts: CommandFacts; at: number }
  | { type: 'step'; commandId: string; name: string; state: Step['state'] }
  | { type: 'finish'; facts: CommandFacts; at: number; state: CommandState; final: string }
  | { type: 'put'; item: OutboxItem }
  | { type: 'taken'; upTo: number }
  | { type: 'drop'; seqs: readonly number[]; marks: readonly Pick<OutboxItem, 'seq' | 'lost'>[] }
  | { type: 'reserve'; upTo: number }
  | { type: 'question'; question: Question }
  | { type: 'forget'; before: number; keep: number }

/** What the journal holds when it is opened. */
export interface JournalContent {
  /** Names the numbering of the outbox: another one begins with another database. */
  outboxId: string
  /** Numbers from the first to the last one may be given out; none of them was ever used. */
  seqs: { first: number; last: number }
  items: OutboxItem[]
  unfinished: Unfinished[]
  /** Commands that ended last, newest first. */
  recent: { commandId: string; state: CommandState }[]
  /** All that wait for an answer, and the latest of those that do not; oldest first. */
  questions: Question[]
  /** Commands made before this moment may have run without this journal knowing; milliseconds since 1970. */
  unsureBefore: number | undefined
  /** Where a damaged database was put, when that happened just now, and what was wrong with it. */
  setAside: { path: string; reason: string } | undefined
}

/** To the worker: changes that are made together or not at all. */
export interface JournalBatch {
  ops: JournalOp[]
}

/** From the worker: what the database held, then one answer per batch. */
export type JournalAnswer =
  | { type: 'open'; content: JournalContent }
  | { type: 'refused'; code: 'UPGRADE_REQUIRED' | 'INTERNAL'; message: string }
  /** Committed and on the disk; one result per change, in order. */
  | { type: 'done'; results: (string | undefined)[]; hasReserve: boolean }
  /** Nothing of the batch was done. */
  | { type: 'failed'; message: string }
