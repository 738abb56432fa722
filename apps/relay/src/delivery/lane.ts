import type { AioEvent } from '@ai-orchestration/protocol'
import type { FleetView } from '../fleet/fleet-view.ts'
import { type Journal, positionOf } from '../journal/journal.ts'
import { type Filter, matches, narrow, type WorldState } from './filter.ts'
import { textFrame } from './text-frame.ts'
import { trackedText } from './tracked-text.ts'

/** Why continuity cannot be proven, and behind which position. */
export interface Hole {
  reason: Extract<AioEvent, { type: 'gap' }>['reason']
  from: string
}

/** A stretch of the journal as one kind of watcher gets it. */
export interface Page {
  /** Its frames, joined; absent when there is nothing in it for these watchers. */
  frames: Buffer | undefined
  /** How many items these are. */
  items: number
  /** Why, for each gap among them. */
  gaps: Hole['reason'][]
  /** Number of the last event it covers. */
  end: number
}

const PAGE_EVENTS = 256 // events looked at before others get a turn
const PAGE_BYTES = 256 * 1024 // and the size at which a page ends early, so that a socket's soft limit still means something

/**
 * All watchers with the same filter and the same request id (stock clients count from 1, so these are few): what they get is
 * the same bytes, made once and written to each of their sockets.
 */
export class Lane {
  /** Tells it from others. */
  readonly key: string
  readonly #filter: Filter
  readonly #prefix: string
  readonly #journal: Journal
  readonly #texts: ItemTexts
  readonly #view: FleetView
  readonly #state: () => WorldState
  readonly #pages = new Map<number, Page | undefined>()
  #snapshot: Buffer | undefined

  constructor(options: {
    key: string
    filter: Filter
    prefix: string
    journal: Journal
    texts: ItemTexts
    view: FleetView
    state: () => WorldState
  }) {
    this.key = options.key
    this.#filter = options.filter
    this.#prefix = options.prefix
    this.#journal = options.journal
    this.#texts = options.texts
    this.#view = options.view
    this.#state = options.state
  }

  /** What comes after a number; `undefined` when some of it is no longer kept. */
  page(after: number): Page | undefined {
    if (this.#pages.has(after)) return this.#pages.get(after)
    const page = this.#makePage(after)
    this.#pages.set(after, page)
    return page
  }

  /** A frame that says there is a hole. Its id is where the watcher stood, so that one who is cut off behind it gets it again. */
  gap(at: string, why: { reason: Extract<AioEvent, { type: 'gap' }>['reason']; from: string }): Buffer {
    const to = positionOf(this.#journal, this.#journal.head)
    return this.#frame(trackedText(why.from, { type: 'gap', position: to, at, ...why, to }))
  }

  /** A frame with the part of the state that these watchers asked for, as of now. */
  snapshot(at: string): Buffer {
    this.#snapshot ??= this.#snapshotAt(positionOf(this.#journal, this.#journal.head), at)
    return this.#snapshot
  }

  /** Lets go of what was made for this turn. */
  forget(): void {
    this.#pages.clear()
    this.#snapshot = undefined
  }

  #makePage(after: number): Page | undefined {
    const events = this.#journal.read(after, PAGE_EVENTS)
    if (events === undefined) return undefined
    const frames: Buffer[] = []
    const gaps: Hole['reason'][] = []
    let bytes = 0
    let end = after
    for (const event of events) {
      end += 1
      if (!matches(this.#filter, event) || !this.#view.seesEvent(event)) continue
      if (event.type === 'gap') gaps.push(event.reason)
      const made = event.type === 'gap' ? this.#gapOfMachine(event, end) : [this.#frame(this.#texts.of(event))]
      frames.push(...made)
      for (const frame of made) bytes += frame.length
      if (bytes >= PAGE_BYTES) break
    }
    const [first] = frames
    return { frames: frames.length > 1 ? Buffer.concat(frames, bytes) : first, items: frames.length, gaps, end }
  }

  /** A machine dropped events (E-5): as with a gap of the relay's own, the state follows, and who is cut off in between gets both again. */
  #gapOfMachine(event: AioEvent, seq: number): Buffer[] {
    const gap = this.#frame(trackedText(positionOf(this.#journal, seq - 1), event))
    return [gap, this.#snapshotAt(event.position, event.at)]
  }

  #snapshotAt(position: string, at: string): Buffer {
    return this.#frame(
      trackedText(position, { type: 'snapshot', position, at, ...narrow(this.#filter, this.#state()) }),
    )
  }

  #frame(text: string): Buffer {
    return textFrame(`${this.#prefix}${text}}`)
  }
}

/** The JSON of items, each made once per turn whatever the number of lanes. */
export class ItemTexts {
  readonly #texts = new Map<string, string>()

  /** The tracked result that carries an event. */
  of(event: AioEvent): string {
    let text = this.#texts.get(event.position)
    if (text === undefined) {
      text = trackedText(event.position, event)
      this.#texts.set(event.position, text)
    }
    return text
  }

  /** Lets go of what was made for this turn. */
  forget(): void {
    this.#texts.clear()
  }
}
