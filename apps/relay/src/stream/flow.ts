import {
  AioError,
  type ChatItem,
  type ExecItem,
  LIMITS,
  type StatsItem,
  streamItemBytes,
  type TerminalItem,
} from '@ai-orchestration/protocol'

/** What a flow needs of its surroundings. */
export interface FlowPort {
  /** Lets the orchestrator send so many more bytes. */
  grant(bytes: number): void
  /** Resolves when the viewer's socket has room. */
  drained(): Promise<void>
  readonly signal: AbortSignal
}

/** How often credit goes back, at the latest: a quarter of the window, so that a fast reader never finds it empty. */
const GRANT_STEP_BYTES = LIMITS.streamWindowBytes / 4
/** What may be owed to an idle stream: not worth a message, and too little to hold back any frame. */
const OWED_IDLE_BYTES = 16 * 1024
/** An orchestrator that has sent twice its credit does not keep the agreement, and memory here is bounded. */
const QUEUE_MAX_BYTES = 2 * LIMITS.streamWindowBytes
const QUEUE_MAX_ITEMS = 65_536

/**
 * The way of one stream's items from the orchestrator to one viewer. Credit is given back only as the viewer's socket takes
 * what came, so a viewer that stalls makes the orchestrator stop sending, and nothing is lost or piled up here.
 */
export class Flow<Item extends TerminalItem | ExecItem | StatsItem | ChatItem> {
  #queue: { item: Item; bytes: number }[] = []
  #queuedBytes = 0
  #end: { error: AioError | undefined } | undefined
  #wake: (() => void) | undefined

  /** Bytes that wait here for the viewer. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Takes an item from the orchestrator. */
  push(item: Item): void {
    if (this.#end !== undefined) return
    const bytes = streamItemBytes(item)
    this.#queue.push({ item, bytes })
    this.#queuedBytes += bytes
    if (this.#queuedBytes > QUEUE_MAX_BYTES || this.#queue.length > QUEUE_MAX_ITEMS) {
      this.#queue = []
      this.#queuedBytes = 0
      this.end(
        new AioError('LIMIT', 'The orchestrator sent more than it was given credit for. Update it, then try again.'),
      )
    }
    this.#wake?.()
  }

  /** Nothing more comes; with an error when it broke. What waits is still delivered. */
  end(error?: AioError): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  /** The items in order; ends behind the last one or throws what it was ended with. */
  async *items(port: FlowPort): AsyncGenerator<Item, void> {
    let owed = 0
    port.grant(LIMITS.streamWindowBytes)
    while (!port.signal.aborted) {
      const next = this.#queue.shift()
      if (next !== undefined) {
        const { item, bytes } = next
        await port.drained()
        if (port.signal.aborted) return
        yield item
        this.#queuedBytes -= bytes
        owed += bytes
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error
        return
      }
      if (owed >= (this.#queue.length === 0 ? OWED_IDLE_BYTES : GRANT_STEP_BYTES)) {
        await port.drained()
        port.grant(owed)
        owed = 0
      }
      if (this.#queue.length === 0 && this.#end === undefined) await this.#filled(port.signal)
    }
  }

  async #filled(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#wake = undefined
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
