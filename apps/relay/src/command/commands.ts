import {
  AioError,
  type BuiltInCommand,
  type Command,
  type CommandState,
  LIMITS,
  type Principal,
  type WireError,
} from '@ai-orchestration/protocol'
import type { z } from 'zod'
import type { Fleet } from '../fleet/fleet.ts'
import type { FleetView } from '../fleet/fleet-view.ts'
import { noCommand, noQuestion } from '../fleet/missing.ts'
import type { Inbox } from '../inbox/inbox.ts'
import { isoTime } from '../iso-time.ts'
import type { CancelOutcome } from '../router/commands.ts'
import {
  type About,
  aboutOf,
  checkedInput,
  projectsNamedBy,
  questionIdOf,
  refuseAdminCommand,
  refuseLocalClone,
} from './built-in.ts'
import { contentHash } from './content-hash.ts'
import type { Entry, Ledger } from './ledger.ts'
import type { Lifecycle } from './lifecycle.ts'
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

const OPEN_MAX = 1_000 // commands that are under way at once; each may hold an input of 256 KiB

/** What clients ask of commands: to accept one, once per id (C-3), to show them, to cancel. */
export class Commands {
  readonly #fleet: Fleet
  readonly #inbox: Inbox
  readonly #ledger: Ledger
  readonly #lifecycle: Lifecycle
  readonly #now: () => number

  constructor(options: { fleet: Fleet; inbox: Inbox; ledger: Ledger; lifecycle: Lifecycle; now?: () => number }) {
    this.#fleet = options.fleet
    this.#inbox = options.inbox
    this.#ledger = options.ledger
    this.#lifecycle = options.lifecycle
    this.#now = options.now ?? Date.now
  }

  /** Runs a built-in command, under the id of the request unless it has one of its own, and answers its output. @throws AioError the command's own error, or why it was not accepted. */
  async call<T>(
    by: { principal: Principal; requestId: () => string },
    command: BuiltInCommand,
    request: { input: unknown; commandId?: string | undefined; orchestratorId?: string | undefined },
    output: z.ZodType<T>,
  ): Promise<T> {
    const done = await this.run(by.principal, { ...request, command, commandId: request.commandId ?? by.requestId() })
    if (done.state !== 'succeeded') throw AioError.fromWire(done.error ?? endedWithout(done.state))
    return output.parse(done.output)
  }

  /**
   * Accepts a command and resolves with its final state, however it ended. The same id again gives the same answer.
   *
   * @throws AioError when it was not accepted; then nothing was started.
   */
  run(principal: Principal, request: Request): Promise<Command> {
    const view = this.#fleet.seenBy(principal)
    const hash = contentHash([request.command, request.input, request.orchestratorId])
    const known = this.#ledger.get(request.commandId)
    if (known === undefined) return this.#lifecycle.outcome(this.#accept(principal, view, request, hash))
    if (!view.sees(known.command)) return Promise.reject(noCommand())
    if (known.contentHash !== undefined && known.contentHash !== hash)
      return Promise.reject(
        new AioError(
          'CONFLICT',
          'This commandId was used before with different content, so nothing was started. Make a new id for each command.',
        ),
      )
    return this.#lifecycle.outcome(known)
  }

  /** @throws AioError NOT_FOUND */
  require(principal: Principal, commandId: string): Command {
    return this.#require(principal, commandId).command
  }

  /** Commands, newest first. */
  list(
    principal: Principal,
    filter: { limit?: number | undefined; sessionId?: string | undefined; projectId?: string | undefined },
  ): Command[] {
    const { limit = 100, sessionId, projectId } = filter
    const view = this.#fleet.seenBy(principal)
    const found: Command[] = []
    for (const { command, isKept } of this.#ledger.newestFirst()) {
      if (found.length === limit) break
      if (!isKept || !view.sees(command)) continue
      if (sessionId !== undefined && command.sessionId !== sessionId) continue
      if (projectId !== undefined && command.projectId !== projectId) continue
      found.push(command)
    }
    return found
  }

  /** Asks for a command to stop. @throws AioError NOT_FOUND */
  async cancel(principal: Principal, commandId: string): Promise<CancelOutcome> {
    return await this.#lifecycle.cancel(this.#require(principal, commandId))
  }

  #accept(principal: Principal, view: FleetView, request: Request, hash: string): Entry {
    const { command, commandId, orchestratorId, ttlMs } = request
    const isAdmin = principal.roles.includes('admin')
    const input = checkedInput(command, request.input)
    refuseAdminCommand(command, isAdmin)
    refuseLocalClone(command, input, isAdmin)
    const about = this.#aboutOf(view, command, input)
    refuseOutOfScope(view, command, about, input)
    const target = route(view, { command, about, orchestratorId, mayWait: ttlMs !== undefined })
    this.#refuseTooMany()
    this.#refuseTwin(command, about.projectId, target)
    const now = isoTime(this.#now())
    const entry: Entry = {
      command: {
        commandId,
        command,
        orchestratorId: target,
        state: 'accepted',
        ...about,
        createdAt: now,
        updatedAt: now,
      },
      input,
      contentHash: hash,
      by: { name: principal.name, isAdmin, tokenId: principal.tokenId },
      isKept: false,
      deadline: performance.now() + (ttlMs ?? LIMITS.commandTtlMs),
      wasDispatched: false,
      wasAcknowledged: false,
      cancelRequested: false,
    }
    this.#lifecycle.begin(entry)
    return entry
  }

  /** An answer names only its question; that says which session it is about, and so which machine. */
  #aboutOf(view: FleetView, command: string, input: unknown): About {
    const questionId = questionIdOf(command, input)
    if (questionId === undefined) return aboutOf(command, input)
    const question = this.#inbox.require(questionId)
    if (!view.sees(question)) throw noQuestion(questionId)
    const { projectId, sessionId } = question
    return { projectId, sessionId }
  }

  #refuseTooMany(): void {
    if (this.#ledger.openCount >= OPEN_MAX)
      throw new AioError('LIMIT', `There are ${OPEN_MAX} commands under way. Wait for some to end, then try again.`)
  }

  // Two machines would both make the project, and the later one would be left with a name it cannot use.
  #refuseTwin(command: string, projectId: string | undefined, target: string): void {
    if (command !== 'create_project' || projectId === undefined) return
    for (const { command: other } of this.#ledger.open())
      if (other.command === command && other.projectId === projectId && other.orchestratorId !== target)
        throw new AioError('CONFLICT', `A project "${projectId}" is being created on another orchestrator right now.`)
  }

  #require(principal: Principal, commandId: string): Entry {
    const entry = this.#ledger.get(commandId)
    if (entry?.isKept === true && this.#fleet.seenBy(principal).sees(entry.command)) return entry
    throw noCommand()
  }
}

// A custom command may name a project beside the one it is about.
function refuseOutOfScope(view: FleetView, command: string, { projectId }: About, input: unknown): void {
  view.refuseCommand(command, projectId)
  for (const named of projectsNamedBy(input)) view.refuseCommand(command, named)
}

function endedWithout(state: CommandState): WireError {
  return { code: 'EXEC_ERROR', message: `The command ended as ${state} without saying why.` }
}
