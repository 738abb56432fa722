import {
  AioError,
  type ChatEntry,
  type ChatItem,
  type ExecItem,
  type ExecRequest,
  type ExportRequest,
  LIMITS,
  type Principal,
  pausedText,
  type SecretInfo,
  type SessionStats,
  type StatsItem,
  type StreamFrame,
  type StreamOrder,
  type TerminalItem,
  type TerminalSize,
} from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import type { Peer } from '../context.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { FleetView } from '../fleet/fleet-view.ts'
import type { Caller, Link, LinkBook } from '../fleet/link-book.ts'
import { Flow } from './flow.ts'
import { Switchboard } from './switchboard.ts'

/** What is to happen to a project's secrets. */
export type SecretsChange = NonNullable<Extract<StreamOrder, { type: 'secrets' }>['change']>

/** Where a stream's items go. */
export interface StreamCall {
  peer: Peer | undefined
  signal: AbortSignal | undefined
}

/** Terminals and execs: one stream per viewer or exec, from the orchestrator that owns the session. */
export class Streams {
  readonly #fleet: Fleet
  readonly #book: LinkBook
  readonly #boards = new WeakMap<Link, Switchboard>()
  /** Where each exec runs, by its id. */
  readonly #execs = new Map<string, Switchboard>()

  constructor(options: { fleet: Fleet; book: LinkBook }) {
    this.#fleet = options.fleet
    this.#book = options.book
  }

  /** Terminals and execs that are open. */
  count = 0

  /** One viewer of a session's terminal. A size is heeded only from those who may also write. @throws AioError */
  async *terminal(
    principal: Principal,
    request: { sessionId: string; size?: TerminalSize | undefined; after?: number | undefined },
    call: StreamCall,
  ): AsyncGenerator<TerminalItem, void> {
    const { sessionId, size, after } = request
    const board = this.#boardOf(principal, sessionId)
    const streamId = ulid()
    const flow = new Flow<TerminalItem>()
    const mayResize = principal.roles.some((role) => role === 'operator' || role === 'admin')
    board.open(
      streamId,
      { type: 'terminal', flow },
      {
        type: 'open_terminal',
        streamId,
        sessionId,
        ...(size === undefined || !mayResize ? {} : { size }),
        ...(after === undefined ? {} : { after }),
      },
    )
    try {
      yield* this.#deliver(board, streamId, flow, call)
    } finally {
      board.close(streamId)
    }
  }

  /** What a session uses, every two seconds for as long as somebody reads. @throws AioError */
  async *stats(principal: Principal, sessionId: string, call: StreamCall): AsyncGenerator<SessionStats, void> {
    const board = this.#boardOf(principal, sessionId)
    const streamId = ulid()
    const flow = new Flow<StatsItem>()
    board.open(streamId, { type: 'stats', flow }, { type: 'open_stats', streamId, sessionId })
    try {
      for await (const { stats } of this.#deliver(board, streamId, flow, call)) yield stats
    } finally {
      board.close(streamId)
    }
  }

  /** One watcher of a session's conversation, from `after` on or from its last entries. @throws AioError */
  chat(
    principal: Principal,
    { sessionId, after }: { sessionId: string; after: number | undefined },
    call: StreamCall,
  ): AsyncGenerator<ChatItem, void> {
    return this.#openChat(principal, { sessionId, ...(after === undefined ? {} : { after }) }, call)
  }

  /** Earlier entries of a conversation, oldest first. @throws AioError */
  async chatPage(
    principal: Principal,
    what: { sessionId: string; page: { before: number; limit: number } },
    call: StreamCall,
  ): Promise<ChatEntry[]> {
    const entries: ChatEntry[] = []
    for await (const item of this.#openChat(principal, what, call)) if (item.type === 'entry') entries.push(item.entry)
    return entries
  }

  async *#openChat(
    principal: Principal,
    what: { sessionId: string; after?: number; page?: { before: number; limit: number } },
    call: StreamCall,
  ): AsyncGenerator<ChatItem, void> {
    const board = this.#boardOf(principal, what.sessionId)
    const streamId = ulid()
    const flow = new Flow<ChatItem>()
    board.open(streamId, { type: 'chat', flow }, { type: 'open_chat', streamId, ...what })
    try {
      yield* this.#deliver(board, streamId, flow, call)
    } finally {
      board.close(streamId)
    }
  }

  /** Runs a program inside a session; ends behind its exit. Closing early ends the program. @throws AioError */
  async *exec(principal: Principal, request: ExecRequest, call: StreamCall): AsyncGenerator<ExecItem, void> {
    const order: StreamOrder = { type: 'open_exec', streamId: request.execId, request }
    yield* this.#program(principal, request.sessionId, order, call)
  }

  /** Exports a session's work; what comes is what an exec's would be. @throws AioError */
  async *export(principal: Principal, request: ExportRequest, call: StreamCall): AsyncGenerator<ExecItem, void> {
    const order: StreamOrder = { type: 'open_export', streamId: request.exportId, request }
    yield* this.#program(principal, request.sessionId, order, call)
  }

  async *#program(
    principal: Principal,
    sessionId: string,
    order: Extract<StreamOrder, { type: 'open_exec' | 'open_export' }>,
    call: StreamCall,
  ): AsyncGenerator<ExecItem, void> {
    const execId = order.streamId
    const board = this.#boardOf(principal, sessionId)
    if (this.#execs.has(execId))
      throw new AioError('CONFLICT', 'An exec of this id is running. Make a new id for each exec.')
    const flow = new Flow<ExecItem>()
    board.open(execId, { type: 'exec', flow, tokenId: principal.tokenId }, order)
    this.#execs.set(execId, board)
    try {
      yield* this.#deliver(board, execId, flow, call)
    } finally {
      this.#execs.delete(execId)
      board.close(execId)
    }
  }

  /** Sends stdin to one's own exec; resolves when there is room for more. @throws AioError NOT_FOUND, LIMIT */
  async execInput(
    principal: Principal,
    input: { execId: string; data?: string | undefined; end?: boolean | undefined },
  ): Promise<void> {
    const { execId: streamId, data, end } = input
    const board = this.#execs.get(streamId)
    const stream = board?.get(streamId)
    if (board === undefined || stream?.type !== 'exec' || stream.tokenId !== principal.tokenId)
      throw new AioError('NOT_FOUND', 'No exec of yours with this id is running: it has ended, or was never started.')
    if (data !== undefined && data !== '') board.order({ type: 'write', streamId, data })
    if (end === true) board.order({ type: 'end', streamId })
    await board.drainedBelow(LIMITS.bufferSoftBytes)
  }

  /** Types into a session's terminal. @throws AioError NOT_FOUND, NOT_RUNNING when it is paused, ORCHESTRATOR_OFFLINE, LIMIT */
  write(principal: Principal, sessionId: string, data: string): void {
    const { pause } = this.#fleet.seenBy(principal).requireSession(sessionId)
    if (pause !== undefined && pause.reason !== 'idle') throw new AioError('NOT_RUNNING', pausedText(sessionId))
    this.#boardOf(principal, sessionId).order({ type: 'terminal_input', sessionId, data })
  }

  /** Sets the size of a session's terminal. @throws AioError NOT_FOUND, ORCHESTRATOR_OFFLINE, LIMIT */
  resize(principal: Principal, sessionId: string, size: TerminalSize): void {
    this.#boardOf(principal, sessionId).order({ type: 'terminal_resize', sessionId, size })
  }

  /**
   * Changes or lists the secrets of a project: straight to its orchestrator, because a command is kept and a value must
   * not be. The answer names them and holds no value.
   *
   * @throws AioError NOT_FOUND, ORCHESTRATOR_OFFLINE, INTERRUPTED, TIMEOUT and the orchestrator's own.
   */
  async secrets(principal: Principal, projectId: string, change?: SecretsChange): Promise<SecretInfo[]> {
    const fleet = this.#fleet.seenBy(principal)
    const board = this.#boardAt(fleet, fleet.requireProject(projectId).orchestratorId)
    const order = { type: 'secrets' as const, streamId: ulid(), projectId, ...(change === undefined ? {} : { change }) }
    return (await board.ask(order)).secrets
  }

  /** What an orchestrator is to do with its streams. @throws AioError */
  orders(caller: Caller, epoch: number, signal: AbortSignal | undefined): AsyncGenerator<StreamOrder, void> {
    const link = this.#book.require(caller, epoch)
    return this.#boardFor(link).orders(signal ?? link.ended.signal, () => caller.peer?.drained() ?? Promise.resolve())
  }

  /** Takes frames of an orchestrator. @throws AioError */
  receive(caller: Caller, epoch: number, frames: readonly StreamFrame[]): void {
    const board = this.#boardFor(this.#book.require(caller, epoch))
    for (const frame of frames) board.receive(frame)
  }

  async *#deliver<Item extends TerminalItem | ExecItem | StatsItem | ChatItem>(
    board: Switchboard,
    streamId: string,
    flow: Flow<Item>,
    call: StreamCall,
  ): AsyncGenerator<Item, void> {
    this.count += 1
    try {
      yield* flow.items({
        grant: (bytes) => {
          if (board.get(streamId) !== undefined) board.order({ type: 'credit', streamId, bytes })
        },
        drained: () => call.peer?.drained() ?? Promise.resolve(),
        signal: call.signal ?? new AbortController().signal,
      })
    } finally {
      this.count -= 1
    }
  }

  #boardOf(principal: Principal, sessionId: string): Switchboard {
    const fleet = this.#fleet.seenBy(principal)
    return this.#boardAt(fleet, fleet.requireSession(sessionId).orchestratorId)
  }

  #boardAt(fleet: FleetView, orchestratorId: string): Switchboard {
    fleet.requireOnline(orchestratorId)
    const link = this.#book.byOrchestrator(orchestratorId)
    if (link === undefined) throw new AioError('UNAVAILABLE', 'The orchestrator is connecting. Try again in a moment.')
    return this.#boardFor(link)
  }

  #boardFor(link: Link): Switchboard {
    const board = this.#boards.get(link) ?? new Switchboard(link)
    this.#boards.set(link, board)
    return board
  }
}
