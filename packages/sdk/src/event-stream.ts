import { type AioError, type AioEvent, type EventFilter, parsePosition } from '@ai-orchestration/protocol'
import { isRefusedForNow } from './client-error.ts'
import { type Past, ResumingStream, type Source } from './resuming-stream.ts'

/** Most unread events before the subscription is paused. */
const EVENTS_UNREAD_MAX = 10_000

/** Opens `events.watch` after a position. */
export type OpenEvents = (filter: EventFilter, sink: Parameters<Source<AioEvent>['open']>[0]) => () => void

/**
 * Events in order, without duplicates, across every reconnect; a hole is never silent: it is a `gap` event that a
 * `snapshot` follows. Ends with `break`, `return()` or the signal.
 */
export class EventStream implements AsyncIterableIterator<AioEvent, undefined>, AsyncDisposable {
  readonly #stream: ResumingStream<AioEvent>
  #received: string | undefined
  #position: string | undefined
  #hasOpened = false
  /** A gap was told and the state that follows it has not come yet. */
  #awaitsState = false

  constructor(
    open: OpenEvents,
    filter: EventFilter,
    options: { random: () => number; signal: AbortSignal | undefined; onEnd: () => void },
  ) {
    this.#received = filter.after
    this.#position = filter.after
    this.#stream = new ResumingStream<AioEvent>({
      ...options,
      open: (sink) => open(this.#where(filter), sink),
      accept: (event) => this.#accept(event),
      sizeOf: () => 1,
      isLast: () => false,
      canReopen: canReopenEvents,
      highWater: EVENTS_UNREAD_MAX,
    })
  }

  /** Position of the last event that was read; store it and pass it as `after` to go on from there. */
  get position(): string | undefined {
    return this.#position
  }

  async next(): Promise<IteratorResult<AioEvent, undefined>> {
    const result = await this.#stream.next()
    // Behind a gap comes the state: whoever goes on from in between would never get it.
    if (result.done !== true && result.value.type !== 'gap') this.#position = result.value.position
    return result
  }

  async return(): Promise<IteratorResult<AioEvent, undefined>> {
    this.#stream.end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.end()
  }

  /** Where to open: behind the last event, or, when the stream was lost before it had any, with all as it is by then. */
  #where(filter: EventFilter): EventFilter {
    if (this.#received !== undefined) return { ...filter, after: this.#received }
    if (!this.#hasOpened) {
      this.#hasOpened = true
      return filter
    }
    return { ...filter, snapshot: true }
  }

  #accept(event: AioEvent): boolean {
    if (event.type === 'gap') {
      // The stream stands where it stood until the state has come; cut off in between, it is asked for again with the gap.
      const isRepeat = this.#awaitsState
      this.#awaitsState = true
      return !isRepeat
    }
    this.#awaitsState = false
    // A snapshot says where the stream stands now, which may be another epoch.
    if (event.type !== 'snapshot' && this.#received !== undefined && isOld(event, this.#received)) return false
    this.#received = event.position
    return true
  }
}

function isOld(event: AioEvent, received: string): boolean {
  const last = parsePosition(received)
  const now = parsePosition(event.position)
  return now.epoch === last.epoch && now.seq <= last.seq
}

function canReopenEvents(error: AioError, { hasStarted }: Past): boolean {
  if (error.code === 'SLOW_CONSUMER' || isRefusedForNow(error)) return true
  return hasStarted && (error.code === 'UNAVAILABLE' || error.code === 'INTERNAL')
}
