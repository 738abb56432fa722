import type { AioEvent } from '@ai-orchestration/protocol'

/** An event before the journal has given it its place and time. */
export type Unstamped<E = AioEvent> = E extends unknown ? Omit<E, 'position' | 'at'> : never

/** The one ordered record of what happens (E-1). */
export interface Journal {
  /** Names this numbering; another one begins when the record does not go on from before. */
  readonly epoch: string
  /** Why a position of another epoch cannot be gone on from. */
  readonly otherEpochReason: 'epoch' | 'corruption'
  /** Number of the last event that can be read, 0 before the first. */
  readonly head: number
  /** Adds an event; once it is kept it can be read, and whoever waits is woken. */
  append(event: Unstamped): void
  /** Adds an event that tells of something kept in this same turn: when that cannot be kept, there is no event either. */
  appendWith(event: Unstamped): void
  /** Resolves once every event added so far can be read, also after a crash. */
  settled(): Promise<void>
  /** Up to `limit` events after the number, oldest first; `undefined` when some of them are no longer kept, or damaged. */
  read(after: number, limit: number): readonly AioEvent[] | undefined
  /** Tells whether {@link read} found the event right after the number damaged. */
  isDamagedBehind(after: number): boolean
  /** Resolves once there is an event after the number, or the signal is aborted. */
  waitBeyond(after: number, signal: AbortSignal): Promise<void>
}

/** The position of an event by its number. */
export function positionOf(journal: Journal, seq: number): string {
  return `${journal.epoch}.${seq}`
}
