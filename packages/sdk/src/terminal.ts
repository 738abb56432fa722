import { type AioError, LIMITS, type TerminalItem, type TerminalSize } from '@ai-orchestration/protocol'
import { isRefusedForNow } from './client-error.ts'
import { type Past, ResumingStream, type Sink } from './resuming-stream.ts'
import { joinText, SendQueue } from './send-queue.ts'

/** Unread characters above which a viewer stops receiving until it has caught up; nothing is lost by it. */
const TERMINAL_UNREAD_MAX = 4 * 1024 * 1024

/** How long a viewer believes that its session will be known again, in milliseconds. */
const ORCHESTRATOR_RETURN_MS = 45_000

/** How a viewer opens. */
export interface TerminalOptions {
  /** Size this viewer wants the session's terminal to have; operators only. */
  size?: TerminalSize | undefined
  /** Byte offset to go on after instead of a replay of the screen. */
  after?: number | undefined
  /** Ends the viewer when aborted. */
  signal?: AbortSignal | undefined
}

/** The calls a terminal makes. */
export interface TerminalCalls {
  watch: (input: { size?: TerminalSize; after?: number }, sink: Sink<TerminalItem>) => () => void
  write: (data: string) => Promise<unknown>
  resize: (size: TerminalSize) => Promise<unknown>
  random: () => number
  onEnd: () => void
}

/**
 * A session's terminal: iterate it for what it shows, write keys to it. It goes on by itself, without a hole, after a
 * reconnect; it ends after the item `exit`.
 */
export class Terminal implements AsyncIterableIterator<TerminalItem, undefined>, AsyncDisposable {
  readonly #stream: ResumingStream<TerminalItem>
  readonly #keys: SendQueue<string>
  readonly #sizes: SendQueue<TerminalSize>
  #size: TerminalSize | undefined
  #received: number | undefined
  #offset: number | undefined

  constructor(calls: TerminalCalls, options: TerminalOptions) {
    this.#size = options.size
    this.#received = options.after
    this.#offset = options.after
    this.#keys = new SendQueue(calls.write, (keys) => joinText(keys, LIMITS.terminalInputMaxChars))
    this.#sizes = new SendQueue(calls.resize, (sizes) => sizes.slice(-1))
    this.#stream = new ResumingStream<TerminalItem>({
      open: (sink) =>
        calls.watch(
          {
            ...(this.#size === undefined ? {} : { size: this.#size }),
            ...(this.#received === undefined ? {} : { after: this.#received }),
          },
          sink,
        ),
      accept: (item) => this.#accept(item),
      sizeOf: (item) => ('data' in item ? item.data.length : 1),
      isLast: (item) => item.type === 'exit',
      canReopen,
      highWater: TERMINAL_UNREAD_MAX,
      random: calls.random,
      signal: options.signal,
      onEnd: calls.onEnd,
    })
  }

  /** Resolves once the first item is there. @throws AioError when the session cannot be watched. */
  ready(): Promise<void> {
    return this.#stream.ready()
  }

  /** Byte offset after the last item that was read; pass it as `after` to go on from there. */
  get offset(): number | undefined {
    return this.#offset
  }

  /**
   * Types text. Calls keep their order and are joined while one is under way; awaiting is optional.
   *
   * @throws AioError FORBIDDEN, NOT_RUNNING, UNAVAILABLE.
   */
  write(text: string): Promise<void> {
    return this.#keys.push(text)
  }

  /** Sets the size of the session's terminal, in cells; it is kept across reconnects. */
  resize(cols: number, rows: number): Promise<void> {
    this.#size = { cols, rows }
    return this.#sizes.push({ cols, rows })
  }

  /** Only what is to be written to a screen: replays and data. A replay begins with a full reset. */
  async *text(): AsyncGenerator<string, void> {
    for await (const item of this) {
      if (item.type === 'replay') yield `\u001bc${item.data}`
      else if (item.type === 'data') yield item.data
    }
  }

  /** Stops watching; the session goes on. */
  async close(): Promise<void> {
    this.#stream.end()
  }

  async next(): Promise<IteratorResult<TerminalItem, undefined>> {
    const result = await this.#stream.next()
    if (result.done !== true) this.#offset = result.value.offset
    return result
  }

  async return(): Promise<IteratorResult<TerminalItem, undefined>> {
    this.#stream.end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.end()
  }

  #accept(item: TerminalItem): boolean {
    if (item.type === 'data' && this.#received !== undefined && item.offset <= this.#received) return false
    this.#received = item.offset
    return true
  }
}

function canReopen(error: AioError, { hasStarted, failingForMs }: Past): boolean {
  switch (error.code) {
    case 'SLOW_CONSUMER':
      return true
    case 'UNAVAILABLE':
    case 'ORCHESTRATOR_OFFLINE':
      return hasStarted || isRefusedForNow(error)
    // A relay that was restarted knows no machine and no session until their orchestrator is back.
    case 'ORCHESTRATOR_NOT_FOUND':
    case 'NOT_FOUND':
    case 'NOT_RUNNING':
      return hasStarted && failingForMs < ORCHESTRATOR_RETURN_MS
    default:
      return false
  }
}
