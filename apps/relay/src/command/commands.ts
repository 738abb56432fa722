import {
  AioError,
  type BuiltInCommand,
  type Command,
  type CommandState,
  type Dispatch,
  isFinal,
  LIMITS,
  type OrchestratorEvent,
  type Principal,
  projectSchema,
  type Registration,
  sessionSchema,
  toAioError,
  type WireError,
} from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import type { z } from 'zod'
import type { Fleet } from '../fleet/fleet.ts'
import type { LinkBook } from '../fleet/link-book.ts'
import type { Journal } from '../journal/journal.ts'
import type { CancelOutcome } from '../router/commands.ts'
import { aboutOf, checkedInput, checkedOutput, refuseLocalClone } from './built-in.ts'
import { contentHash } from './content-hash.ts'
import { Deadlines } from './deadlines.ts'
import type { Entry, Ledger } from './ledger.ts'
import { route } from './routing.ts'

/** Something to run, as a client asks for it. */
export interface Request {
  commandId: string
  command: string
  input?: unknown
  orchestratorId?: string | undefined
  /** When given, the command also waits for a machine that is offline. */
  ttlMs?: number | undefined
}

/** What an orchestrator says about commands. */
export type CommandEvent = Extract<OrchestratorEvent, { type: `command_${string}` }>

const OPEN_MAX = 1_000 // commands that are under way at once; each may hold an input of 256 KiB
const ACK_GRACE_MS = 2_000 // an acknowledgement may be on its way when the time to live ends

/** Commands from accept to their final state: each exactly one (C-4), each at most once started by its id (C-2, C-3). */
export class Commands {
  readonly #fleet: Fleet
  readonly #book: LinkBook
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #deadlines: Deadlines
  readonly #now: () => number
  readonly #finished = new Map<string, PromiseWithResolvers<Command>>()

  constructor(options: {
    fleet: Fleet
    book: LinkBook
    journal: Journal
    ledger: Ledger
    now?: () => number
    deadlines?: Deadlines
  }) {
    this.#fleet = options.fleet
    this.#book = options.book
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#now = options.now ?? Date.now
    this.#deadlines = options.deadlines ?? new Deadlines()
  }

  /** Runs a built-in command and answers its output. @throws AioError the command's own error, or why it was not accepted. */
  async call<T>(
    principal: Principal,
    command: BuiltInCommand,
    request: { input: unknown; commandId?: string | undefined; orchestratorId?: string | undefined },
    output: z.ZodType<T>,
  ): Promise<T> {
    const done = await this.run(principal, { ...request, command, commandId: request.commandId ?? ulid() })
    if (done.state !== 'succeeded') throw AioError.fromWire(done.error ?? endedWithout(done.state))
    return output.parse(done.output)
  }

  /**
   * Accepts a command and resolves with its final state, however it ended. The same id again gives the same answer.
   *
   * @throws AioError when it was not accepted; then nothing was started.
   */
  run(principal: Principal, request: Request): Promise<Command> {
    const hash = contentHash([request.command, request.input, request.orchestratorId])
    const known = this.#ledger.get(request.commandId)
    if (known === undefined) return this.#outcome(this.#accept(principal, request, hash))
    if (known.contentHash !== undefined && known.contentHash !== hash)
      return Promise.reject(
        new AioError(
          'CONFLICT',
          'This commandId was used before with different content, so nothing was started. Make a new id for each command.',
        ),
      )
    return this.#outcome(known)
  }

  /** @throws AioError NOT_FOUND */
  require(commandId: string): Command {
    return this.#require(commandId).command
  }

  /** Commands, newest first. */
  list(filter: { limit?: number | undefined; sessionId?: string | undefined; projectId?: string | undefined }): Command[] {
    const { limit = 100, sessionId, projectId } = filter
    const found: Command[] = []
    for (const { command } of this.#ledger.newestFirst()) {
      if (found.length === limit) break
      if (sessionId !== undefined && command.sessionId !== sessionId) continue
      if (projectId !== undefined && command.projectId !== projectId) continue
      found.push(command)
    }
    return found
  }

  /** Asks for a command to stop. @throws AioError NOT_FOUND */
  cancel(commandId: string): CancelOutcome {
    const entry = this.#require(commandId)
    if (isFinal(entry.command.state)) return 'too-late'
    if (!entry.wasDispatched) {
      this.#fail(entry, 'cancelled', { code: 'CANCELLED', message: 'The command was cancelled before it started.' })
      return 'prevented'
    }
    entry.cancelRequested = true
    this.#send(entry.command.orchestratorId, { type: 'cancel', commandId })
    return 'stopping'
  }

  /** Takes what an orchestrator says about one of its commands. */
  take(orchestratorId: string, event: CommandEvent): void {
    const entry = this.#ledger.get(event.commandId)
    if (entry === undefined) return this.#takeForgotten(orchestratorId, event)
    // Said twice, too late, or by one it does not belong to: the first and rightful word stands.
    if (entry.command.orchestratorId !== orchestratorId || isFinal(entry.command.state)) return
    entry.wasAcknowledged = true
    this.#deadlines.clear(event.commandId)
    switch (event.type) {
      case 'command_ack':
        return this.#running(entry, event, {})
      case 'command_progress':
        return this.#running(entry, event, event.progress === undefined ? {} : { progress: event.progress })
      case 'command_result':
        return this.#succeed(entry, event)
      case 'command_error':
        return this.#fail(entry, event.state, event.error)
      default:
        return event satisfies never
    }
  }

  /** An orchestrator went away: what it may have started is unknown until it is back (C-5). */
  wentAway(orchestratorId: string): void {
    for (const entry of this.#openOf(orchestratorId)) if (entry.wasDispatched) this.#update(entry, { state: 'unknown' })
  }

  /** An orchestrator is back and says how the commands it knows stand. */
  returned(orchestratorId: string, known: Registration['known']): void {
    const states = new Map(known.map(({ commandId, state }) => [commandId, state]))
    for (const entry of this.#openOf(orchestratorId)) {
      const state = states.get(entry.command.commandId)
      if (state !== undefined) this.#resolve(entry, state)
      else if (entry.wasAcknowledged) this.#lost(entry)
      else entry.wasDispatched = false // it never got there
    }
  }

  /** Hands an orchestrator everything it has not acknowledged; it knows by the id what it has. */
  resend(orchestratorId: string): void {
    for (const entry of this.#openOf(orchestratorId)) {
      if (!entry.wasAcknowledged) this.#dispatch(entry)
      if (entry.cancelRequested) this.#send(orchestratorId, { type: 'cancel', commandId: entry.command.commandId })
    }
  }

  #accept(principal: Principal, request: Request, hash: string): Entry {
    const { command, commandId, orchestratorId, ttlMs } = request
    const isAdmin = principal.roles.includes('admin')
    const input = checkedInput(command, request.input)
    refuseLocalClone(command, input, isAdmin)
    const about = aboutOf(command, input)
    const target = route(this.#fleet, { command, about, orchestratorId, mayWait: ttlMs !== undefined })
    this.#refuseTooMany()
    this.#refuseTwin(command, about.projectId, target)
    const now = this.#stamp()
    const entry: Entry = {
      command: { commandId, command, orchestratorId: target, state: 'accepted', ...about, createdAt: now, updatedAt: now },
      input,
      contentHash: hash,
      by: { name: principal.name, isAdmin },
      deadline: performance.now() + (ttlMs ?? LIMITS.commandTtlMs),
      wasDispatched: false,
      wasAcknowledged: false,
      cancelRequested: false,
    }
    this.#ledger.put(entry)
    this.#deadlines.set(commandId, entry.deadline, () => this.#overdue(entry))
    this.#journal.append({
      type: 'command_request',
      orchestratorId: target,
      commandId,
      command,
      by: principal.name,
      ...about,
    })
    this.#dispatch(entry)
    return entry
  }

  #dispatch(entry: Entry): void {
    const { orchestratorId, commandId, command } = entry.command
    const ttlMs = entry.deadline - performance.now()
    if (ttlMs <= 0) return this.#overdue(entry)
    const run: Dispatch = { type: 'run', commandId, command, input: entry.input, ttlMs, by: entry.by }
    if (!this.#send(orchestratorId, run)) return
    entry.wasDispatched = true
    this.#update(entry, { state: 'dispatched' })
  }

  #send(orchestratorId: string, dispatch: Dispatch): boolean {
    const link = this.#book.byOrchestrator(orchestratorId)
    link?.dispatches.push(dispatch)
    return link !== undefined
  }

  #overdue(entry: Entry): void {
    if (isFinal(entry.command.state) || entry.wasAcknowledged) return
    const isOnline = this.#book.byOrchestrator(entry.command.orchestratorId) !== undefined
    // It was handed over before the machine went away and may have begun: only that machine can say.
    if (entry.wasDispatched && !isOnline) return
    if (entry.wasDispatched && performance.now() < entry.deadline + ACK_GRACE_MS) {
      this.#deadlines.set(entry.command.commandId, entry.deadline + ACK_GRACE_MS, () => this.#overdue(entry))
      return
    }
    this.#fail(entry, 'expired', {
      code: 'EXPIRED',
      message: 'The orchestrator did not take the command within its time to live, so it will not start. Run it again.',
    })
  }

  #resolve(entry: Entry, state: CommandState): void {
    entry.wasAcknowledged = true
    this.#deadlines.clear(entry.command.commandId)
    // A final state comes with its answer as an event right after this; until then the command is still unknown.
    if (!isFinal(state)) this.#update(entry, { state: 'running' })
  }

  #lost(entry: Entry): void {
    this.#fail(entry, 'interrupted', {
      code: 'INTERRUPTED',
      message:
        'The orchestrator restarted while the command ran and does not know how far it came. Look at the state of the project, then run it again.',
    })
  }

  #running(entry: Entry, event: CommandEvent, change: Partial<Command>): void {
    this.#update(entry, { ...change, state: 'running' })
    this.#journal.append({ ...event, ...aboutCommand(entry.command) })
  }

  #succeed(entry: Entry, event: Extract<CommandEvent, { type: 'command_result' }>): void {
    const { orchestratorId, command } = entry.command
    let output: unknown
    try {
      output = checkedOutput(command, event.output)
    } catch (error) {
      return this.#fail(entry, 'failed', toAioError(error).toWire())
    }
    this.#ensure(orchestratorId, command, output)
    this.#update(entry, { state: 'succeeded', progress: 100, output })
    this.#journal.append({ ...event, ...aboutCommand(entry.command), command, output })
    this.#settle(entry)
  }

  #ensure(orchestratorId: string, command: string, output: unknown): void {
    if (command === 'create_project') this.#fleet.ensure({ project: projectSchema.parse(output) }, orchestratorId)
    if (command === 'create_session') this.#fleet.ensure({ session: sessionSchema.parse(output) }, orchestratorId)
  }

  #fail(
    entry: Entry,
    state: Extract<CommandEvent, { type: 'command_error' }>['state'],
    error: WireError,
  ): void {
    this.#update(entry, { state, error })
    this.#journal.append({
      type: 'command_error',
      ...aboutCommand(entry.command),
      command: entry.command.command,
      state,
      error,
    })
    this.#settle(entry)
  }

  // A relay that has restarted does not know the command; what its orchestrator says of it is still true.
  #takeForgotten(orchestratorId: string, event: CommandEvent): void {
    this.#journal.append({ ...event, orchestratorId })
    if (event.type !== 'command_result' && event.type !== 'command_error') return
    const now = this.#stamp()
    const { commandId, command, projectId, sessionId } = event
    const ending =
      event.type === 'command_result'
        ? { state: 'succeeded' as const, output: event.output }
        : { state: event.state, error: event.error }
    this.#ledger.put({
      command: {
        commandId,
        command,
        orchestratorId,
        ...ending,
        ...(projectId === undefined ? {} : { projectId }),
        ...(sessionId === undefined ? {} : { sessionId }),
        createdAt: now,
        updatedAt: now,
      },
      input: undefined,
      contentHash: undefined,
      by: { name: 'unknown', isAdmin: false },
      deadline: 0,
      wasDispatched: true,
      wasAcknowledged: true,
      cancelRequested: false,
    })
  }

  #update(entry: Entry, change: Partial<Command>): void {
    entry.command = { ...entry.command, ...change, updatedAt: this.#stamp() }
    if (isFinal(entry.command.state)) entry.input = undefined
    this.#ledger.put(entry)
  }

  #settle({ command }: Entry): void {
    this.#deadlines.clear(command.commandId)
    this.#finished.get(command.commandId)?.resolve(command)
    this.#finished.delete(command.commandId)
  }

  #outcome({ command }: Entry): Promise<Command> {
    if (isFinal(command.state)) return Promise.resolve(command)
    const waiting = this.#finished.get(command.commandId) ?? Promise.withResolvers<Command>()
    this.#finished.set(command.commandId, waiting)
    return waiting.promise
  }

  #refuseTooMany(): void {
    let count = 0
    for (const _ of this.#ledger.open()) count += 1
    if (count >= OPEN_MAX)
      throw new AioError('LIMIT', `There are ${OPEN_MAX} commands under way. Wait for some to end, then try again.`)
  }

  // Two machines would both make the project, and the later one would be left with a name it cannot use.
  #refuseTwin(command: string, projectId: string | undefined, target: string): void {
    if (command !== 'create_project' || projectId === undefined) return
    for (const { command: other } of this.#ledger.open())
      if (other.command === command && other.projectId === projectId && other.orchestratorId !== target)
        throw new AioError('CONFLICT', `A project "${projectId}" is being created on another orchestrator right now.`)
  }

  #openOf(orchestratorId: string): Entry[] {
    return [...this.#ledger.open()].filter(({ command }) => command.orchestratorId === orchestratorId)
  }

  #require(commandId: string): Entry {
    const entry = this.#ledger.get(commandId)
    if (entry !== undefined) return entry
    throw new AioError(
      'NOT_FOUND',
      'The relay knows no command of this id. It keeps the last 10,000, and those since its last restart.',
    )
  }

  #stamp(): string {
    return new Date(this.#now()).toISOString()
  }
}

function aboutCommand({ commandId, orchestratorId, projectId, sessionId }: Command) {
  return {
    commandId,
    orchestratorId,
    ...(projectId === undefined ? {} : { projectId }),
    ...(sessionId === undefined ? {} : { sessionId }),
  }
}

function endedWithout(state: CommandState): WireError {
  return { code: 'EXEC_ERROR', message: `The command ended as ${state} without saying why.` }
}
