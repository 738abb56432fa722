import { type AioEvent, parsePosition } from '@ai-orchestration/protocol'
import type { Peer } from '../context.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { type Journal, positionOf } from '../journal/journal.ts'
import { type Filter, matches, narrow } from './filter.ts'

/** One item for a watcher; `id` is what it resumes with. */
export interface Item {
  id: string
  event: AioEvent
}

/** Where a watcher's items go. */
export interface WatchCall {
  peer: Peer | undefined
  signal: AbortSignal | undefined
}

const BATCH = 256 // events looked at before others get a turn

/** Hands the journal to watchers: each has a cursor into the one log and no queue of its own, so a slow one costs nothing. */
export class Watch {
  readonly #journal: Journal
  readonly #fleet: Fleet
  readonly #now: () => number

  constructor(options: { journal: Journal; fleet: Fleet; now?: () => number }) {
    this.#journal = options.journal
    this.#fleet = options.fleet
    this.#now = options.now ?? Date.now
  }

  /**
   * Begins to watch as of this very call, so that nothing is missed between history and live (E-4).
   *
   * @param after resume behind this position; live from now when absent. When that cannot be done without a hole,
   *   the first two items are `gap` and `snapshot` (E-3).
   */
  open(filter: Filter, after: string | undefined, call: WatchCall): AsyncGenerator<Item, void> {
    const { epoch, head } = this.#journal
    if (after === undefined) return this.#items(filter, head, filter.snapshot === true ? 'snapshot' : undefined, call)
    const from = parsePosition(after)
    return from.epoch === epoch
      ? this.#items(filter, from.seq, undefined, call)
      : this.#items(filter, head, { reason: 'epoch', from: after }, call)
  }

  async *#items(
    filter: Filter,
    start: number,
    startsWith: { reason: 'epoch'; from: string } | 'snapshot' | undefined,
    call: WatchCall,
  ): AsyncGenerator<Item, void> {
    const signal = call.signal ?? NEVER
    let cursor = start
    let isFirst = true
    if (startsWith !== undefined) {
      cursor = this.#journal.head
      if (startsWith === 'snapshot') yield this.#snapshot(filter)
      else yield* this.#gap(filter, startsWith)
    }
    while (!signal.aborted) {
      await call.peer?.drained()
      const events = this.#journal.read(cursor, BATCH)
      if (events === undefined) {
        const from = positionOf(this.#journal, cursor)
        const reason = isFirst ? 'retention' : 'overflow'
        cursor = this.#journal.head
        yield* this.#gap(filter, { reason, from })
      } else if (events.length === 0) {
        await this.#journal.waitBeyond(cursor, signal)
      } else {
        for (const event of events) {
          cursor += 1
          if (!matches(filter, event)) continue
          await call.peer?.drained()
          if (signal.aborted) return
          yield { id: event.position, event }
        }
      }
      isFirst = false
    }
  }

  // Both items are made before either is sent: the snapshot is of the position that the gap leads to. The gap's id is where
  // the watcher stood, so that one who is cut off between the two gets both again.
  *#gap(filter: Filter, why: { reason: 'retention' | 'epoch' | 'overflow'; from: string }): Generator<Item, void> {
    const position = positionOf(this.#journal, this.#journal.head)
    const at = new Date(this.#now()).toISOString()
    const snapshot = this.#snapshot(filter)
    yield { id: why.from, event: { type: 'gap', position, at, ...why, to: position } }
    yield snapshot
  }

  #snapshot(filter: Filter): Item {
    const position = positionOf(this.#journal, this.#journal.head)
    const state = narrow(filter, this.#fleet.state())
    return { id: position, event: { type: 'snapshot', position, at: new Date(this.#now()).toISOString(), ...state } }
  }
}

const NEVER = new AbortController().signal
