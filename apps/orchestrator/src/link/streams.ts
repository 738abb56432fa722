import { setTimeout as sleep } from 'node:timers/promises'
import {
  type StatsItem,
  type StreamFrame,
  type StreamOrder,
  toAioError,
  type WireError,
} from '@ai-orchestration/protocol'
import type { Chats } from '../chat/chats.ts'
import type { Execs } from '../exec/execs.ts'
import type { Exports } from '../exec/exports.ts'
import type { Logger } from '../log.ts'
import type { Projects } from '../project/projects.ts'
import type { Terminals } from '../terminal/terminals.ts'
import { FrameQueue } from './frame-queue.ts'

/** What streams need of the SDK's client. */
export interface StreamsClient {
  orchestrator: {
    streams: {
      subscribe(
        input: { epoch: number; linkKey: string },
        handlers: {
          onData: (order: StreamOrder) => void
          onError: (error: Error) => void
          onComplete: () => void
        },
      ): { unsubscribe(): void }
    }
    send: {
      mutate(input: { epoch: number; frames: StreamFrame[] }, options: { signal: AbortSignal }): Promise<unknown>
    }
  }
}

/** Until the second socket is tried again after it was lost, in milliseconds; the SDK itself backs off from the relay. */
const RESUBSCRIBE_MS = 250

/** What is needed of sessions for statistics. */
export interface StatsSource {
  openStats(options: {
    sessionId: string
    send: (item: StatsItem) => void
    onEnd: (error: unknown) => void
  }): OpenStream
}

/** An open terminal viewer or exec. */
export interface OpenStream {
  credit(bytes: number): void
  close(): void
  write?(data: string): void
  end?(): void
}

/**
 * Terminals and execs over one connection to the relay: takes its orders and sends what they print, one call under way at
 * a time. When the socket is lost all streams on it end; viewers open new ones and go on at their offsets.
 */
export class Streams {
  readonly #client: StreamsClient
  readonly #epoch: number
  readonly #linkKey: string
  readonly #terminals: Pick<Terminals, 'open' | 'input' | 'resize'>
  readonly #execs: Pick<Execs, 'open'>
  readonly #exports: Pick<Exports, 'open'>
  readonly #projects: Pick<Projects, 'secrets'>
  readonly #stats: StatsSource
  readonly #chats: Pick<Chats, 'open'>
  readonly #attentions: { look(sessionId: string): () => void } | undefined
  readonly #log: Logger
  readonly #closed = new AbortController()

  constructor(services: {
    client: StreamsClient
    epoch: number
    linkKey: string
    terminals: Pick<Terminals, 'open' | 'input' | 'resize'>
    execs: Pick<Execs, 'open'>
    exports: Pick<Exports, 'open'>
    projects: Pick<Projects, 'secrets'>
    stats: StatsSource
    chats: Pick<Chats, 'open'>
    /** Told who watches; nobody when absent. */
    attentions?: { look(sessionId: string): () => void }
    log: Logger
  }) {
    this.#client = services.client
    this.#epoch = services.epoch
    this.#linkKey = services.linkKey
    this.#terminals = services.terminals
    this.#execs = services.execs
    this.#exports = services.exports
    this.#projects = services.projects
    this.#stats = services.stats
    this.#chats = services.chats
    this.#attentions = services.attentions
    this.#log = services.log
    void this.#keep()
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    this.#closed.abort()
  }

  async #keep(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      await this.#connection().catch((error: unknown) => {
        const { code, message } = toAioError(error)
        if (!this.#closed.signal.aborted) this.#log.info({ code }, `the streams to the relay ended: ${message}`)
      })
      await sleep(RESUBSCRIBE_MS, undefined, { signal: this.#closed.signal }).catch(() => undefined)
    }
  }

  /** One subscription until it is lost. */
  async #connection(): Promise<void> {
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, this.#closed.signal])
    const lost = Promise.withResolvers<void>()
    const frames = new FrameQueue()
    const streams = new Map<string, OpenStream>()
    const subscription = this.#client.orchestrator.streams.subscribe(
      { epoch: this.#epoch, linkKey: this.#linkKey },
      {
        onData: (order) => this.#obey(order, streams, frames),
        onError: (error) => lost.reject(error),
        onComplete: () => lost.resolve(),
      },
    )
    const onAbort = () => lost.resolve()
    this.#closed.signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([lost.promise, this.#sendAll(frames, signal)])
    } finally {
      ended.abort()
      this.#closed.signal.removeEventListener('abort', onAbort)
      subscription.unsubscribe()
      for (const stream of streams.values()) stream.close()
    }
  }

  // The answer is the back-pressure: what comes meanwhile waits here, bounded by the streams' credit, and goes together.
  async #sendAll(queue: FrameQueue, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const frames = await queue.take(signal)
      if (frames.length > 0) await this.#client.orchestrator.send.mutate({ epoch: this.#epoch, frames }, { signal })
    }
  }

  #obey(order: StreamOrder, streams: Map<string, OpenStream>, frames: FrameQueue): void {
    switch (order.type) {
      case 'open_terminal':
      case 'open_exec':
      case 'open_export':
      case 'open_stats':
      case 'open_chat':
        this.#open(order, streams, frames)
        return
      case 'write':
        streams.get(order.streamId)?.write?.(order.data)
        return
      case 'end':
        streams.get(order.streamId)?.end?.()
        return
      case 'credit':
        streams.get(order.streamId)?.credit(order.bytes)
        return
      case 'close': {
        const stream = streams.get(order.streamId)
        streams.delete(order.streamId)
        stream?.close()
        return
      }
      case 'terminal_input':
        this.#terminals.input(order.sessionId, order.data).catch(this.#report('input was not typed'))
        return
      case 'terminal_resize':
        this.#terminals.resize(order.sessionId, order.size).catch(this.#report('a terminal was not resized'))
        return
      case 'secrets':
        void this.#answerSecrets(order, frames)
        return
      default:
        order satisfies never
    }
  }

  async #answerSecrets(
    { streamId, projectId, change }: Extract<StreamOrder, { type: 'secrets' }>,
    frames: FrameQueue,
  ): Promise<void> {
    try {
      frames.add({ type: 'secrets', streamId, secrets: await this.#projects.secrets(projectId, change) })
    } catch (error) {
      frames.add({ type: 'closed', streamId, error: this.#describe(error) })
    }
  }

  #open(
    order: Extract<StreamOrder, { type: 'open_terminal' | 'open_exec' | 'open_export' | 'open_stats' | 'open_chat' }>,
    streams: Map<string, OpenStream>,
    frames: FrameQueue,
  ): void {
    const { streamId } = order
    const isLook = order.type === 'open_terminal' || (order.type === 'open_chat' && order.page === undefined)
    const lookAway = isLook ? this.#attentions?.look(order.sessionId) : undefined
    const onEnd = (error?: unknown) => {
      lookAway?.()
      streams.delete(streamId)
      frames.add({ type: 'closed', streamId, ...(error === undefined ? {} : { error: this.#describe(error) }) })
    }
    const stream = this.#start(order, frames, onEnd)
    streams.get(streamId)?.close()
    streams.set(streamId, lookAway === undefined ? stream : watched(stream, lookAway))
  }

  #start(
    order: Extract<StreamOrder, { type: 'open_terminal' | 'open_exec' | 'open_export' | 'open_stats' | 'open_chat' }>,
    frames: FrameQueue,
    onEnd: (error?: unknown) => void,
  ): OpenStream {
    const { streamId } = order
    switch (order.type) {
      case 'open_terminal':
        return this.#terminals.open({
          ...{ sessionId: order.sessionId, size: order.size, after: order.after, onEnd },
          send: (item) => frames.add({ type: 'terminal', streamId, item }),
        })
      case 'open_exec':
        return this.#execs.open({
          ...{ request: order.request, onEnd },
          send: (item) => frames.add({ type: 'exec', streamId, item }),
        })
      case 'open_export':
        return this.#exports.open({
          ...{ request: order.request, onEnd },
          send: (item) => frames.add({ type: 'exec', streamId, item }),
        })
      case 'open_stats':
        return this.#stats.openStats({
          ...{ sessionId: order.sessionId, onEnd },
          send: (item) => frames.add({ type: 'stats', streamId, item }),
        })
      case 'open_chat':
        return this.#chats.open({
          ...{ sessionId: order.sessionId, after: order.after, page: order.page, onEnd },
          send: (item) => frames.add({ type: 'chat', streamId, item }),
        })
      default:
        return order satisfies never
    }
  }

  #describe(thrown: unknown): WireError {
    const error = toAioError(thrown)
    if (error.code === 'INTERNAL') this.#log.error({ err: thrown }, 'a stream failed')
    return error.toWire()
  }

  #report(what: string): (error: unknown) => void {
    return (error) => {
      const { code, message } = toAioError(error)
      this.#log.info({ code }, `${what}: ${message}`)
    }
  }
}

/** What is watched and not written to, until it is closed. */
function watched(stream: OpenStream, lookAway: () => void): OpenStream {
  return {
    credit: (bytes) => stream.credit(bytes),
    close: () => {
      lookAway()
      stream.close()
    },
  }
}
