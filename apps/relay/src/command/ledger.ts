import type { Command } from '@ai-orchestration/protocol'

/** A command as the relay keeps it: what clients see, and what it takes to dispatch and to recognise it again. */
export interface Entry {
  command: Command
  /** Gone once the command is final. */
  input: unknown
  /** Hash of what was asked; absent when only the result is known, from before this relay started. */
  contentHash: string | undefined
  by: { name: string; isAdmin: boolean; tokenId?: string }
  /** On the relay's monotonic clock, in milliseconds. */
  deadline: number
  /** True once it may have been handed to the orchestrator, which may have begun it. Kept before it is done. */
  wasDispatched: boolean
  /** True once the orchestrator said that it has it. */
  wasAcknowledged: boolean
  cancelRequested: boolean
  /** True once it was accepted for good; until then nobody is told of it, and nobody may begin it (C-1). */
  isKept: boolean
}

/** Where commands are kept. */
export interface Ledger {
  /** How many commands are not final. */
  readonly openCount: number
  get(commandId: string): Entry | undefined
  /** Takes a new entry in. Resolves once it is on stable storage. @throws AioError UNAVAILABLE when it cannot be kept; then it never was. */
  accept(entry: Entry): Promise<void>
  /** Takes over changes to an entry, or adds one that is final already. */
  put(entry: Entry): void
  /** Resolves once every change so far is on stable storage. */
  settled(): Promise<void>
  /** Commands that are not final, oldest first. */
  open(): Iterable<Entry>
  /** All commands, newest first. */
  newestFirst(): Iterable<Entry>
}
