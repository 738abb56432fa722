import type { Command } from '@ai-orchestration/protocol'

/** A command as the relay keeps it: what clients see, and what it takes to dispatch and to recognise it again. */
export interface Entry {
  command: Command
  /** Gone once the command is final. */
  input: unknown
  /** Hash of what was asked; absent when only the result is known, from before this relay started. */
  contentHash: string | undefined
  by: { name: string; isAdmin: boolean }
  /** On the relay's monotonic clock, in milliseconds. */
  deadline: number
  /** True once it was handed to the orchestrator, which may have begun it. */
  wasDispatched: boolean
  /** True once the orchestrator said that it has it. */
  wasAcknowledged: boolean
  cancelRequested: boolean
}

/** Where commands are kept. In memory for now; made durable without a change elsewhere. */
export interface Ledger {
  get(commandId: string): Entry | undefined
  /** Adds an entry, or takes over changes to one. */
  put(entry: Entry): void
  /** Commands that are not final, oldest first. */
  open(): Iterable<Entry>
  /** All commands, newest first. */
  newestFirst(): Iterable<Entry>
}
