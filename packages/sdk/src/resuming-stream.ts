import type { AioError } from '@ai-orchestration/protocol'
import { BACKOFF_CAP_MS, fullJitter } from './backoff.ts'

/** How one subscription reports to the stream that opened it. */
export interface Sink<Item> {
  /** The relay has opened it. */
  started?: () => void
  item: (item: Item) => void
  /** Its socket was lost. */
  lost: () => void
  failed: (error: AioError) => void
  ended: () => void
}

/** What a stream has been through when an error comes. */
export interface Past {
  /** It has yielded before. */
  hasStarted: boolean
  /** Milliseconds since it last worked, 0 at the first error. */
  failingForMs: number
}

/** A subscription that can be opened again where it stopped. */
export interface Source<Item> {
  /** Opens it after the last accepted item; returns what stops it. */
  open: (sink: Sink<Item>) => () => void
  /** Remembers how far the stream has come; answers false for an item that was had before. */
  accept: (item: Item) => boolean
  /** Size of an item in the unit of `highWater`. */
  sizeOf: (item: Item) => number
  /** True for an item after which nothing follows. */
  isLast: (item: Item) => boolean
  /** Whether to open again after this error; `past` says what went before it. */
  canReopen: (error: AioError, past: Past) => boolean
  /** Unread size above which the subscription is closed until a quarter of it is left. */
  highWater: number
  random: () => number
  signal: AbortSignal | undefined
  /** Called once, whichever way the stream ends. */
  onEnd: () => void
}

/**
 * A resumable subscription as an async iterator: it comes back by itself where it stopped, and a reader that is slow
 * costs bounded memory, because the subscription is closed meanwhile and opened again after the last item it gave.
 */
export class ResumingStream<Item> {
  readonly #source: Source<Item>
  #items: Item[] = []
  #unread = 0
  #error: AioError | undefined
  #isOver = false
  #hasStarted = false
  #failures = 0
  #failingSince: number | undefined
  #stop: (() => void) | undefined
  #reopen: ReturnType<typeof setTimeout> | undefined
  #waiting: (() => void)[] = []

  constructor(source: Source<Item>) {
    this.#source = source
    source.signal?.addEventListener('abort', this.end, { once: true })
    if (source.signal?.aborted === true) this.end()
    else this.#open()
  }

  /** Waits until there is something to read, or the stream is over. @throws AioError when it failed. */
  async ready(): Promise<void> {
    while (this.#items.length === 0 && !this.#isOver) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#items.length === 0 && this.#error !== undefined) throw this.#error
  }

  /** The next item. @throws AioError when the stream failed. */
  async next(): Promise<IteratorResult<Item, undefined>> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#unread -= this.#source.sizeOf(item)
        this.#openWhenDrained()
        return { done: false, value: item }
      }
      if (this.#isOver) {
        const error = this.#error
        this.#error = undefined
        if (error !== undefined) throw error
        return { done: true, value: undefined }
      }
      await this.ready()
    }
  }

  /** Ends the stream; what was not read is dropped. */
  readonly end = (): void => {
    this.#items = []
    this.#unread = 0
    this.#finish()
  }

  #open(): void {
    let isCurrent = true
    let stop: (() => void) | undefined
    const leave = () => {
      isCurrent = false
      if (this.#stop === leave) this.#stop = undefined
      // The source may report before it has returned what stops it.
      if (stop === undefined) queueMicrotask(() => stop?.())
      else stop()
    }
    this.#stop = leave
    const whenCurrent = <Args extends unknown[]>(action: (...args: Args) => void) => {
      return (...args: Args) => {
        if (isCurrent && !this.#isOver) action(...args)
      }
    }
    stop = this.#source.open({
      item: whenCurrent((item: Item) => {
        this.#take(item)
        if (this.#source.isLast(item)) this.#finish()
        else if (this.#unread > this.#source.highWater) leave()
      }),
      lost: whenCurrent(() => {
        leave()
        this.#openLater()
      }),
      failed: whenCurrent((error: AioError) => {
        leave()
        this.#failingSince ??= performance.now()
        const failingForMs = performance.now() - this.#failingSince
        if (this.#source.canReopen(error, { hasStarted: this.#hasStarted, failingForMs })) this.#openLater()
        else {
          this.#error = error
          this.#finish()
        }
      }),
      ended: whenCurrent(() => {
        leave()
        this.#openLater()
      }),
    })
  }

  #take(item: Item): void {
    this.#hasStarted = true
    this.#failingSince = undefined
    this.#failures = 0
    if (!this.#source.accept(item)) return
    this.#items.push(item)
    this.#unread += this.#source.sizeOf(item)
    this.#wake()
  }

  #openLater(): void {
    if (this.#isOver || this.#reopen !== undefined) return
    this.#failures += 1
    const delayMs = Math.min(fullJitter(this.#failures, this.#source.random), BACKOFF_CAP_MS)
    this.#reopen = setTimeout(() => {
      this.#reopen = undefined
      this.#openWhenDrained()
    }, delayMs)
  }

  #openWhenDrained(): void {
    if (this.#isOver || this.#stop !== undefined || this.#reopen !== undefined) return
    if (this.#unread <= this.#source.highWater / 4) this.#open()
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#reopen)
    this.#stop?.()
    this.#source.signal?.removeEventListener('abort', this.end)
    this.#source.onEnd()
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
