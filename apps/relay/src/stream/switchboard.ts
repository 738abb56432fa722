import {
  AioError,
  type ChatItem,
  type ExecItem,
  type StatsItem,
  type StreamFrame,
  type StreamOrder,
  type TerminalItem,
} from '@ai-orchestration/protocol'
import type { Link } from '../fleet/link-book.ts'
import { Mailbox } from '../fleet/mailbox.ts'
import type { Flow } from './flow.ts'

/** A stream that is open. */
export type OpenStream =
  | { type: 'terminal'; flow: Flow<TerminalItem> }
  | { type: 'chat'; flow: Flow<ChatItem> }
  | { type: 'exec'; flow: Flow<ExecItem>; tokenId: string }
  | { type: 'stats'; flow: Flow<StatsItem> }

const STREAMS_MAX = 1_024 // per orchestrator
const ORDERS_MAX_BYTES = 4 * 1024 * 1024 // input that waits for one orchestrator's stream socket

type SecretsFrame = Extract<StreamFrame, { type: 'secrets' }>

interface Asked {
  resolve: (frame: SecretsFrame) => void
  reject: (error: AioError) => void
}

const ANSWER_DEADLINE_MS = 15_000 // writing a file and telling of it takes milliseconds

/** The streams of one orchestrator's connection, and the orders on their way to it. */
export class Switchboard {
  readonly #orders = new Mailbox<StreamOrder>()
  readonly #open = new Map<string, OpenStream>()
  readonly #asked = new Map<string, Asked>()
  readonly #link: Link
  #readers = 0

  constructor(link: Link) {
    this.#link = link
    link.ended.signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  /** Bytes of orders that wait. */
  get waitingBytes(): number {
    return this.#orders.bytes
  }

  /** The open stream of this id. */
  get(streamId: string): OpenStream | undefined {
    return this.#open.get(streamId)
  }

  /** Opens a stream. @throws AioError CONFLICT, LIMIT */
  open(streamId: string, stream: OpenStream, order: StreamOrder): void {
    if (this.#open.has(streamId))
      throw new AioError('CONFLICT', 'A stream of this id is open. Make a new id for each exec.')
    if (this.#open.size >= STREAMS_MAX)
      throw new AioError(
        'LIMIT',
        `This orchestrator has ${STREAMS_MAX} streams open. Close some terminals, then try again.`,
      )
    this.order(order)
    this.#open.set(streamId, stream)
  }

  /** Closes a stream from the viewer's side; without effect when the orchestrator ended it first. */
  close(streamId: string): void {
    if (this.#open.delete(streamId)) this.order({ type: 'close', streamId })
  }

  /** Sends an order. @throws AioError LIMIT when the orchestrator does not read. */
  order(order: StreamOrder): void {
    // Credit and close are bounded by the number of streams, and holding them back would stop everything.
    if (order.type === 'credit' || order.type === 'close') {
      this.#orders.push(order)
      return
    }
    const bytes = 64 + ('data' in order ? order.data.length : order.type === 'secrets' ? secretBytes(order) : 0)
    if (this.#orders.bytes + bytes > ORDERS_MAX_BYTES)
      throw new AioError('LIMIT', 'The orchestrator takes input more slowly than it comes. Wait a moment, then go on.')
    this.#orders.push(order, bytes)
  }

  /**
   * Sends an order that is answered once.
   *
   * @throws AioError what the orchestrator answers; INTERRUPTED when the connection breaks; TIMEOUT.
   */
  async ask(order: Extract<StreamOrder, { type: 'secrets' }>): Promise<SecretsFrame> {
    const { promise, resolve, reject } = Promise.withResolvers<SecretsFrame>()
    const { streamId } = order
    const timer = setTimeout(
      () => reject(new AioError('TIMEOUT', 'The orchestrator did not answer in time. Try again.')),
      ANSWER_DEADLINE_MS,
    )
    this.#asked.set(streamId, { resolve, reject })
    try {
      this.order(order)
      return await promise
    } finally {
      clearTimeout(timer)
      this.#asked.delete(streamId)
    }
  }

  /** Resolves when fewer bytes of orders than that wait. */
  drainedBelow(bytes: number): Promise<void> {
    return this.#orders.drainedBelow(bytes)
  }

  /** The orders, for the orchestrator's stream socket. When that goes, every stream on it ends. */
  async *orders(signal: AbortSignal, drained: () => Promise<void>): AsyncGenerator<StreamOrder, void> {
    this.#readers += 1
    const ends = AbortSignal.any([signal, this.#link.ended.signal])
    try {
      for await (const order of this.#orders.take(ends)) {
        yield order
        await drained()
      }
    } finally {
      this.#readers -= 1
      if (this.#readers === 0) this.#breakAll()
    }
  }

  /** Takes a frame from the orchestrator; one for a stream that has been closed is dropped. */
  receive(frame: StreamFrame): void {
    const asked = this.#asked.get(frame.streamId)
    if (asked !== undefined) {
      answer(asked, frame)
      return
    }
    const stream = this.#open.get(frame.streamId)
    if (stream === undefined) return
    switch (frame.type) {
      case 'terminal':
        if (stream.type !== 'terminal') return
        stream.flow.push(frame.item)
        if (frame.item.type === 'exit') this.#finish(frame.streamId, stream)
        return
      case 'exec':
        if (stream.type !== 'exec') return
        stream.flow.push(frame.item)
        if (frame.item.type === 'exit') this.#finish(frame.streamId, stream)
        return
      case 'stats':
        if (stream.type === 'stats') stream.flow.push(frame.item)
        return
      case 'chat':
        if (stream.type === 'chat') stream.flow.push(frame.item)
        return
      case 'secrets':
        return
      case 'closed':
        this.#finish(frame.streamId, stream, frame.error === undefined ? undefined : AioError.fromWire(frame.error))
        return
      default:
        frame satisfies never
    }
  }

  #finish(streamId: string, stream: OpenStream, error?: AioError): void {
    stream.flow.end(error)
    this.#open.delete(streamId)
  }

  #breakAll(): void {
    for (const stream of this.#open.values()) stream.flow.end(broken(stream))
    this.#open.clear()
    for (const { reject } of this.#asked.values())
      reject(new AioError('INTERRUPTED', 'The connection with the orchestrator broke before it answered. Try again.'))
    this.#orders.clear()
  }

  #end(): void {
    this.#breakAll()
    this.#orders.close()
  }
}

function secretBytes({ change }: Extract<StreamOrder, { type: 'secrets' }>): number {
  return change?.type === 'set' ? change.value.length : 0
}

function answer({ resolve, reject }: Asked, frame: StreamFrame): void {
  if (frame.type === 'secrets') {
    resolve(frame)
    return
  }
  const error = frame.type === 'closed' ? frame.error : undefined
  reject(
    error === undefined
      ? new AioError('INVALID_OUTPUT', 'The orchestrator did not answer what was asked. Update it, then try again.')
      : AioError.fromWire(error),
  )
}

function broken(stream: OpenStream): AioError {
  return stream.type !== 'exec'
    ? new AioError('UNAVAILABLE', 'The connection with the orchestrator broke. The session goes on; watch it again.')
    : new AioError(
        'INTERRUPTED',
        'The connection with the orchestrator broke while the program ran, so its end is not known. Look, then run it again.',
      )
}
