import {
  AioError,
  type AioEvent,
  BUILT_IN_COMMANDS,
  type ChatItem,
  chatItemSchema,
  type EventFilter,
  type ExportFormat,
  execItemSchema,
  type SessionStats,
  sessionStatsSchema,
  type TerminalItem,
  terminalItemSchema,
} from '@ai-orchestration/protocol'
import type { TRPCUntypedClient } from '@trpc/client'
import { Chat, type ChatOptions } from './chat.ts'
import { asAioError } from './client-error.ts'
import { newCommandId } from './command-id.ts'
import { EventStream } from './event-stream.ts'
import { Exec, type ExecOptions } from './exec.ts'
import { ResumingStream, type Sink } from './resuming-stream.ts'
import type { AppRouter } from './router.ts'
import { subscribe } from './subscribe.ts'
import { Terminal, type TerminalOptions } from './terminal.ts'

/** Unread statistics above which their subscription is closed until they are read: a minute of them. */
const STATS_UNREAD_MAX = 30

/** Opens the long-lived streams of one client and ends them with it. */
export class Streams {
  readonly #client: TRPCUntypedClient<AppRouter>
  readonly #random: () => number
  readonly #open = new Set<() => void>()

  constructor(client: TRPCUntypedClient<AppRouter>, random: () => number) {
    this.#client = client
    this.#random = random
  }

  /** Watches what happens. */
  events(filter: EventFilter, signal: AbortSignal | undefined): EventStream {
    const life = this.#life()
    const stream = new EventStream(
      (after, sink) => subscribe(this.#client, 'events.watch', after, tracked(sink, isEvent)),
      filter,
      { random: this.#random, signal, onEnd: life.over },
    )
    life.end = () => void stream.return()
    return stream
  }

  /** Opens a terminal and waits for its first item. */
  async terminal(sessionId: string, options: TerminalOptions): Promise<Terminal> {
    const life = this.#life()
    const terminal = new Terminal(
      {
        watch: (input, sink) =>
          subscribe(this.#client, 'terminal.watch', { sessionId, ...input }, tracked(sink, isTerminalItem)),
        write: (data) => this.#mutate('terminal.write', { sessionId, data }),
        resize: (size) => this.#mutate('terminal.resize', { sessionId, ...size }),
        random: this.#random,
        onEnd: life.over,
      },
      options,
    )
    life.end = () => void terminal.close()
    await terminal.ready()
    return terminal
  }

  /** What a session uses, from now on. */
  async *stats(sessionId: string, signal: AbortSignal | undefined): AsyncGenerator<SessionStats, void> {
    const life = this.#life()
    const stream = new ResumingStream<SessionStats>({
      open: (sink) => subscribe(this.#client, 'sessions.stats', { sessionId }, checked(sink, sessionStatsSchema)),
      accept: () => true,
      sizeOf: () => 1,
      isLast: () => false,
      canReopen: ({ code }, { hasStarted }) =>
        code === 'SLOW_CONSUMER' || (hasStarted && (code === 'UNAVAILABLE' || code === 'ORCHESTRATOR_OFFLINE')),
      highWater: STATS_UNREAD_MAX,
      random: this.#random,
      signal,
      onEnd: life.over,
    })
    life.end = () => stream.end()
    try {
      for (;;) {
        const { done, value } = await stream.next()
        if (done === true) return
        yield value
      }
    } finally {
      stream.end()
    }
  }

  /** Watches a session's conversation and waits for its first item. */
  async chat(sessionId: string, options: ChatOptions): Promise<Chat> {
    const life = this.#life()
    const chat = new Chat(
      {
        watch: (input, sink) =>
          subscribe(this.#client, 'chat.watch', { sessionId, ...input }, tracked(sink, isChatItem)),
        prompt: async (text) => {
          const answer = await this.#mutate('chat.prompt', { sessionId, text, commandId: newCommandId() })
          return BUILT_IN_COMMANDS.prompt_session.output.parse(answer).promptId
        },
        cancel: async (promptId) => {
          const input = { sessionId, ...(promptId === undefined ? {} : { promptId }) }
          return BUILT_IN_COMMANDS.cancel_prompt.output.parse(await this.#mutate('chat.cancel', input)).outcome
        },
        random: this.#random,
        onEnd: life.over,
      },
      options,
    )
    life.end = () => void chat.close()
    await chat.ready()
    return chat
  }

  /** Runs a program inside a session. */
  exec(sessionId: string, argv: string[], { cwd, stdin, signal }: ExecOptions): Exec {
    const life = this.#life()
    const execId = newCommandId()
    const request = {
      execId,
      sessionId,
      argv,
      ...(cwd === undefined ? {} : { cwd }),
      ...(stdin === undefined ? {} : { stdin }),
    }
    const exec = new Exec(
      {
        open: (sink) => subscribe(this.#client, 'sessions.exec', request, checked(sink, execItemSchema)),
        input: (input) => this.#mutate('sessions.execInput', { execId, ...input }),
        onEnd: life.over,
      },
      signal,
    )
    life.end = () => void exec[Symbol.asyncDispose]()
    return exec
  }

  /** Exports a session's work. */
  async *export(
    sessionId: string,
    format: ExportFormat,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void> {
    const life = this.#life()
    const request = { exportId: newCommandId(), sessionId, format }
    await using program = new Exec(
      {
        open: (sink) => subscribe(this.#client, 'sessions.export', request, checked(sink, execItemSchema)),
        input: async () => undefined,
        onEnd: life.over,
      },
      signal,
    )
    life.end = () => void program[Symbol.asyncDispose]()
    yield* program.stdout
    const status = await program.exit
    if (status !== 0) throw new AioError('EXEC_ERROR', `The export ended with status ${status}, so it is not complete.`)
  }

  /** Ends all that are open. */
  end(): void {
    for (const end of [...this.#open]) end()
  }

  async #mutate(path: string, input: unknown): Promise<unknown> {
    try {
      return await this.#client.mutation(path, input)
    } catch (thrown) {
      throw asAioError(thrown)
    }
  }

  #life(): { over: () => void; end: () => void } {
    const life = { over: () => void this.#open.delete(end), end: (): void => undefined }
    const end = () => life.end()
    this.#open.add(end)
    return life
  }
}

interface Checker<Item> {
  safeParse(value: unknown): { success: true; data: Item } | { success: false }
}

/** Takes the items of a tracked subscription out of their envelopes. */
function tracked<Item>(sink: Sink<Item>, isItem: (value: unknown) => value is Item): Sink<unknown> {
  return {
    ...sink,
    item: (envelope) => {
      const item = typeof envelope === 'object' && envelope !== null && 'data' in envelope ? envelope.data : undefined
      if (isItem(item)) sink.item(item)
      else sink.failed(notUnderstood())
    },
  }
}

function checked<Item>(sink: Sink<Item>, schema: Checker<Item>): Sink<unknown> {
  return {
    ...sink,
    item: (value) => {
      const item = schema.safeParse(value)
      if (item.success) sink.item(item.data)
      else sink.failed(notUnderstood())
    },
  }
}

// The relay is the typed other half of this package; events are only looked at closely enough to resume by them.
function isEvent(value: unknown): value is AioEvent {
  return typeof value === 'object' && value !== null && 'type' in value && 'position' in value
}

function isTerminalItem(value: unknown): value is TerminalItem {
  return terminalItemSchema.safeParse(value).success
}

function isChatItem(value: unknown): value is ChatItem {
  return chatItemSchema.safeParse(value).success
}

function notUnderstood(): AioError {
  return new AioError(
    'UPGRADE_REQUIRED',
    'The relay sent something this version does not understand. Update this package to the version of the relay.',
  )
}
