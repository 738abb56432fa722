import { type AioEvent, parsePosition, type Scope } from '@ai-orchestration/protocol'
import type { TrackedEnvelope } from '@trpc/server'
import type { Peer } from '../context.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { FleetView } from '../fleet/fleet-view.ts'
import type { Inbox } from '../inbox/inbox.ts'
import { isoTime } from '../iso-time.ts'
import { type Journal, positionOf } from '../journal/journal.ts'
import { Counts } from '../metrics/counts.ts'
import type { Filter } from './filter.ts'
import { type Ending, Handover } from './handover.ts'
import { type Hole, ItemTexts, Lane } from './lane.ts'
import { atEndOfTurn, type EndOfTurn } from './turn.ts'

/** A watcher is to get the whole state before it goes on, and before that why, if it has missed something. */
interface Jump {
  hole: Hole | undefined
  /** Once all that the state shows can be read: it is not ahead of the events that follow, nor of what is kept. */
  isReady: boolean
}

/** One subscription: a cursor into the one log and no queue of its own, so a slow one costs nothing. */
interface Watcher {
  lane: Lane
  peer: Peer
  cursor: number
  jump: Jump | undefined
  /** Until its first page: a hole that is there then was there before it came. */
  isNew: boolean
  /** It waits for something, such as room in its socket, and is woken then. */
  isPaused: boolean
  hasLeft: boolean
  ending: Ending
}

/** Hands the journal to watchers: every event is made into bytes once per lane and turn, and leaves in one write per socket. */
export class Watch implements EndOfTurn {
  readonly #journal: Journal
  readonly #fleet: Fleet
  readonly #inbox: Inbox
  readonly #now: () => number
  readonly #texts = new ItemTexts()
  readonly #lanes = new Map<string, { lane: Lane; watchers: Set<Watcher> }>()
  /** Items handed to watchers so far. */
  deliveries = 0
  /** Watchers that were told of a hole so far, by why. */
  readonly gaps = new Counts<Hole['reason']>()
  /** Watchers that have something to get besides what is new. */
  #due = new Set<Watcher>()
  #hasNews = false
  #isScheduled = false
  #followed: AbortController | undefined

  constructor(options: { journal: Journal; fleet: Fleet; inbox: Inbox; now?: () => number }) {
    this.#journal = options.journal
    this.#fleet = options.fleet
    this.#inbox = options.inbox
    this.#now = options.now ?? Date.now
  }

  /**
   * Begins to watch as of this very call, so that nothing is missed between history and live (E-4).
   *
   * @param scope what the watcher may see at all: the rest is to it as if it had not happened, and positions skip.
   * @param after resume behind this position; live from now when absent. When that cannot be done without a hole,
   *   the first two items are `gap` and `snapshot` (E-3).
   */
  open(
    scope: Scope,
    filter: Filter,
    { after, peer }: { after: string | undefined; peer: Peer },
  ): Handover<TrackedEnvelope<AioEvent>> {
    const { cursor, jump } = this.#start(filter, after)
    return new Handover((prefix, ending) => {
      const { projects, orchestrators } = scope
      const key = `${prefix}${JSON.stringify([filter, projects, orchestrators])}`
      const { lane, watchers } = this.#lane({ key, filter, prefix, view: this.#fleet.seenBy(scope) })
      const watcher: Watcher = {
        ...{ lane, peer, cursor, jump, ending },
        isNew: true,
        isPaused: false,
        hasLeft: false,
      }
      watchers.add(watcher)
      this.#follow()
      this.#wake(watcher)
      return () => this.#leave(watcher)
    })
  }

  /** Subscriptions that are open. */
  get watcherCount(): number {
    let count = 0
    for (const { watchers } of this.#lanes.values()) count += watchers.size
    return count
  }

  #start(filter: Filter, after: string | undefined): { cursor: number; jump: Jump | undefined } {
    const { epoch, head, otherEpochReason: reason } = this.#journal
    const wantsState = filter.snapshot === true
    if (after === undefined) return { cursor: head, jump: wantsState ? { hole: undefined, isReady: false } : undefined }
    const from = parsePosition(after)
    if (from.epoch === epoch) return { cursor: from.seq, jump: undefined }
    return { cursor: head, jump: { hole: { reason, from: after }, isReady: false } }
  }

  #lane(what: { key: string; filter: Filter; prefix: string; view: FleetView }): {
    lane: Lane
    watchers: Set<Watcher>
  } {
    const { key } = what
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    const { view } = what
    const questions = () => this.#inbox.list().filter((question) => view.sees(question))
    const lane = new Lane({
      ...{ ...what, journal: this.#journal, texts: this.#texts },
      state: () => ({ ...view.state(), questions: questions() }),
    })
    const made = { lane, watchers: new Set<Watcher>() }
    this.#lanes.set(key, made)
    return made
  }

  #leave(watcher: Watcher): void {
    watcher.hasLeft = true
    this.#due.delete(watcher)
    const { key } = watcher.lane
    const watchers = this.#lanes.get(key)?.watchers
    watchers?.delete(watcher)
    if (watchers?.size === 0) this.#lanes.delete(key)
    if (this.#lanes.size > 0) return
    this.#followed?.abort()
    this.#followed = undefined
  }

  // One reader waits at the journal for all watchers, and only while there are any.
  #follow(): void {
    if (this.#followed !== undefined) return
    const following = new AbortController()
    this.#followed = following
    const next = async (seen: number): Promise<void> => {
      await this.#journal.waitBeyond(seen, following.signal)
      if (following.signal.aborted) return
      this.#hasNews = true
      this.#schedule()
      return next(this.#journal.head)
    }
    next(this.#journal.head).catch((error: unknown) => this.#failAll(error))
  }

  #wake(watcher: Watcher): void {
    this.#due.add(watcher)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    atEndOfTurn(this)
  }

  /** Delivers what this turn has brought. */
  endOfTurn(): void {
    this.#isScheduled = false
    const due = this.#due
    this.#due = new Set()
    if (this.#hasNews) {
      this.#hasNews = false
      for (const { watchers } of this.#lanes.values()) for (const watcher of watchers) this.#advance(watcher)
    } else {
      for (const watcher of due) this.#advance(watcher)
    }
    for (const { lane } of this.#lanes.values()) lane.forget()
    this.#texts.forget()
    // Those who are not at the end yet go on in a turn of their own, so that others are heard in between.
    if (this.#due.size > 0) setImmediate(() => this.#schedule())
  }

  #advance(watcher: Watcher): void {
    if (watcher.isPaused) return
    if (!watcher.peer.hasRoom) {
      this.#pause(watcher, watcher.peer.drained())
      return
    }
    try {
      this.#send(watcher)
    } catch (error) {
      watcher.ending.fail(error)
    }
  }

  #send(watcher: Watcher): void {
    if (watcher.jump !== undefined) {
      this.#jump(watcher, watcher.jump)
      return
    }
    const page = watcher.lane.page(watcher.cursor)
    if (page === undefined) {
      const reason = this.#reasonBehind(watcher)
      watcher.jump = { hole: { reason, from: positionOf(this.#journal, watcher.cursor) }, isReady: false }
      this.#jump(watcher, watcher.jump)
      return
    }
    watcher.isNew = false
    watcher.cursor = page.end
    if (page.frames !== undefined) watcher.peer.deliver(page.frames)
    this.deliveries += page.items
    for (const reason of page.gaps) this.gaps.add(reason)
    if (page.end < this.#journal.head) this.#due.add(watcher)
  }

  #reasonBehind({ cursor, isNew }: Watcher): Hole['reason'] {
    if (this.#journal.isDamagedBehind(cursor)) return 'corruption'
    return isNew ? 'retention' : 'overflow'
  }

  #jump(watcher: Watcher, jump: Jump): void {
    if (!jump.isReady) {
      jump.isReady = true
      this.#pause(watcher, this.#journal.settled())
      return
    }
    const { lane, peer } = watcher
    const at = isoTime(this.#now())
    // Both items are made before either is sent: the snapshot is of the position that the gap leads to.
    const snapshot = lane.snapshot(at)
    if (jump.hole !== undefined) {
      this.gaps.add(jump.hole.reason)
      peer.deliver(lane.gap(at, jump.hole))
    }
    peer.deliver(snapshot)
    watcher.cursor = this.#journal.head
    watcher.jump = undefined
    watcher.isNew = false
  }

  #pause(watcher: Watcher, until: Promise<void>): void {
    watcher.isPaused = true
    const goOn = () => {
      watcher.isPaused = false
      if (!watcher.hasLeft) this.#wake(watcher)
    }
    until.then(goOn, (error: unknown) => watcher.ending.fail(error))
  }

  #failAll(error: unknown): void {
    for (const { watchers } of this.#lanes.values()) for (const watcher of watchers) watcher.ending.fail(error)
  }
}
