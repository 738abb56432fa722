import type { ErrorCode } from '@ai-orchestration/protocol'
import type { StatementName, Value } from './statements.ts'

/** How much of the events is kept; what goes beyond any of these is forgotten, the oldest first. */
export interface EventRetention {
  maxEvents: number
  maxBytes: number
  maxAgeMs: number
}

/** What the writer thread is told when it starts. */
export interface WriterOptions {
  /** The database file. */
  path: string
  retention: EventRetention
  /** Space kept for what must be written on a full disk, in bytes; absent for the usual. */
  reserveBytes?: number | undefined
  /** For tests: how much longer each commit takes than it does, in milliseconds, as on a slow disk. */
  commitDelayMs?: number | undefined
}

/** What the writer found or made when it opened the database. */
export interface Opened {
  /** Names the numbering of events; it goes on over restarts. */
  epoch: string
  /** Why this numbering began: at the first start, or because the database before it was damaged. */
  origin: 'fresh' | 'corruption'
  /** Number of the last event, and of the oldest that is kept. */
  head: number
  first: number
  /** False when the disk is so full that not even the space for what must be written could be kept. */
  hasReserve: boolean
  /** Where a damaged database was moved to just now, and what was wrong with it. */
  setAside: { path: string; why: string } | undefined
}

/** To the writer thread. */
export type ToWriter = { type: 'write'; writes: [StatementName, Value[]][] } | { type: 'close' }

/** From the writer thread; one `written` or `failed` answers each `write`. */
export type FromWriter =
  | { type: 'opened'; opened: Opened }
  | { type: 'refused'; code: ErrorCode; message: string }
  | { type: 'written'; firstSeq: number; firstKept: number; commitMs: number; hasReserve: boolean }
  | { type: 'failed'; message: string }
  | { type: 'untidy'; message: string }
