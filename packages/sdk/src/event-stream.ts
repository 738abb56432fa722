import { type AioError, type AioEvent, type EventFilter, parsePosition } from '@ai-orchestration/protocol'
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
    if (result.done !== true) this.#position = result.value.position
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
    // A gap or snapshot says where the stream stands now, which may be another epoch.
    const isDuplicate =
      event.type !== 'gap' && event.type !== 'snapshot' && this.#received !== undefined && isOld(event, this.#received)
    if (!isDuplicate) this.#received = event.position
    return !isDuplicate
  }
}

function isOld(event: AioEvent, received: string): boolean {
  const last = parsePosition(received)
  const now = parsePosition(event.position)
  return now.epoch === last.epoch && now.seq <= last.seq
}

function canReopenEvents(error: AioError, { hasStarted }: Past): boolean {
  return error.code === 'SLOW_CONSUMER' || (hasStarted && (error.code === 'UNAVAILABLE' || error.code === 'INTERNAL'))
}
