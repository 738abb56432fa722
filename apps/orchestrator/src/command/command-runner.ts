import {
  AioError,
  type CommandState,
  type Dispatch,
  isFinal,
  type OrchestratorEvent,
  parseSessionId,
  type Registration,
  sessionIdOf,
  toAioError,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { Logger } from '../log.ts'
import type { Services } from './define-command.ts'
import type { CommandRegistry, RunnableCommand } from './registry.ts'
import { StepList } from './steps.ts'

type Run = Extract<Dispatch, { type: 'run' }>
type FinalEvent = Extract<OrchestratorEvent, { type: 'command_result' | 'command_error' }>

interface Known {
  state: CommandState
  abort: AbortController
  final: FinalEvent | undefined
}

/** So many finished commands are remembered, to answer a repeated dispatch without running it again. */
const REMEMBERED = 2_000

const aboutSchema = z.object({
  projectId: z.string().optional(),
  sessionId: z.string().optional(),
  name: z.string().optional(),
})

/** Runs dispatched commands: each at most once, those of one session one after the other. */
export class CommandRunner {
  readonly #registry: CommandRegistry
  readonly #services: Services
  readonly #log: Logger
  readonly #publish: (event: OrchestratorEvent) => void
  readonly #known = new Map<string, Known>()
  readonly #lanes = new Map<string, Promise<void>>()
  readonly #running = new Map<string, { count: number; waiting: (() => void)[] }>()

  constructor(options: {
    registry: CommandRegistry
    services: Services
    log: Logger
    publish: (event: OrchestratorEvent) => void
  }) {
    this.#registry = options.registry
    this.#services = options.services
    this.#log = options.log
    this.#publish = options.publish
  }

  /** The commands it knows and how they stand, for the relay at registration. */
  known(): Registration['known'] {
    return [...this.#known].map(([commandId, { state }]) => ({ commandId, state }))
  }

  /** Takes what the relay sends. A command that is known is not run again: what is known of it is said once more. */
  dispatch(dispatch: Dispatch): void {
    switch (dispatch.type) {
      case 'cancel':
        this.#known.get(dispatch.commandId)?.abort.abort(new AioError('CANCELLED', 'The command was cancelled.'))
        return
      case 'run': {
        const known = this.#known.get(dispatch.commandId)
        if (known === undefined) void this.#accept(dispatch)
        else if (known.final !== undefined) this.#publish(known.final)
        return
      }
      default:
        dispatch satisfies never
    }
  }

  /** Says the final state of every remembered command again whose result the relay may have missed. */
  republish(commandIds: readonly string[]): void {
    for (const id of commandIds) {
      const final = this.#known.get(id)?.final
      if (final !== undefined) this.#publish(final)
    }
  }

  async #accept(dispatch: Run): Promise<void> {
    const deadline = performance.now() + dispatch.ttlMs
    const entry: Known = { state: 'dispatched', abort: new AbortController(), final: undefined }
    this.#known.set(dispatch.commandId, entry)
    const about = aboutOf(dispatch)
    const event = await this.#inLane(about.sessionId, async () => {
      try {
        const command = this.#registry.require(dispatch.command)
        const input = command.checkInput(dispatch.input)
        await this.#enter(command)
        try {
          return await this.#run(dispatch, command, input, entry, deadline)
        } finally {
          this.#leave(command)
        }
      } catch (error) {
        return failure(dispatch, 'rejected', toAioError(error))
      }
    })
    entry.final = { ...event, ...about }
    entry.state = event.type === 'command_result' ? 'succeeded' : event.state
    this.#publish(entry.final)
    this.#forget()
  }

  async #run(
    dispatch: Run,
    command: RunnableCommand,
    input: unknown,
    entry: Known,
    deadline: number,
  ): Promise<FinalEvent> {
    const { commandId } = dispatch
    if (entry.abort.signal.aborted) return failure(dispatch, 'cancelled', toAioError(entry.abort.signal.reason))
    if (performance.now() > deadline)
      return failure(
        dispatch,
        'expired',
        new AioError('EXPIRED', 'The command waited longer than its time to live and was not started.'),
      )
    entry.state = 'running'
    const about = aboutOf(dispatch)
    this.#publish({ type: 'command_ack', ...about, commandId })
    const timeout = AbortSignal.timeout(command.timeoutMs)
    const steps = new StepList(AbortSignal.any([entry.abort.signal, timeout]), (report) =>
      this.#publish({ type: 'command_progress', ...about, commandId, ...report }),
    )
    try {
      const context = { ...this.#services, commandId, by: dispatch.by, steps, log: this.#log }
      const output = await command.run(input, context)
      return { type: 'command_result', commandId, command: command.name, output }
    } catch (error) {
      const problems = await steps.undo()
      const cause = timeout.aborted
        ? new AioError('TIMEOUT', `${command.name} did not finish within ${command.timeoutMs} ms and was stopped.`)
        : entry.abort.signal.aborted
          ? toAioError(entry.abort.signal.reason)
          : toAioError(error)
      if (cause.code === 'INTERNAL')
        this.#log.error({ err: error, commandId }, 'a command failed in a way we did not foresee')
      if (problems.length > 0)
        return failure(dispatch, 'interrupted', new AioError('INTERRUPTED', `${cause.message} ${problems.join(' ')}`))
      return failure(dispatch, cause.code === 'CANCELLED' ? 'cancelled' : 'failed', cause)
    }
  }

  /** Commands about one session run one after the other (C-10). */
  async #inLane<T>(lane: string | undefined, action: () => Promise<T>): Promise<T> {
    if (lane === undefined) return await action()
    const before = this.#lanes.get(lane) ?? Promise.resolve()
    const running = before.then(action)
    const settled = running.then(
      () => undefined,
      () => undefined,
    )
    this.#lanes.set(lane, settled)
    try {
      return await running
    } finally {
      if (this.#lanes.get(lane) === settled) this.#lanes.delete(lane)
    }
  }

  async #enter(command: RunnableCommand): Promise<void> {
    const slot = this.#running.get(command.name) ?? { count: 0, waiting: [] }
    this.#running.set(command.name, slot)
    if (slot.count >= command.concurrency) await new Promise<void>((resolve) => slot.waiting.push(resolve))
    slot.count += 1
  }

  #leave(command: RunnableCommand): void {
    const slot = this.#running.get(command.name)
    if (slot === undefined) return
    slot.count -= 1
    slot.waiting.shift()?.()
  }

  #forget(): void {
    for (const [id, { state }] of this.#known) {
      if (this.#known.size <= REMEMBERED) return
      if (isFinal(state)) this.#known.delete(id)
    }
  }
}

function failure(
  dispatch: Run,
  state: Extract<FinalEvent, { type: 'command_error' }>['state'],
  error: AioError,
): FinalEvent {
  return {
    type: 'command_error',
    commandId: dispatch.commandId,
    command: dispatch.command,
    state,
    error: error.toWire(),
  }
}

/** Which session and project a command is about, as far as its input says. */
function aboutOf(dispatch: Run): { projectId?: string; sessionId?: string } {
  const parsed = aboutSchema.safeParse(dispatch.input)
  if (!parsed.success) return {}
  const { projectId, sessionId, name } = parsed.data
  const session =
    sessionId ?? (projectId !== undefined && name !== undefined ? sessionIdOf(projectId, name) : undefined)
  const names = session === undefined ? undefined : parseSessionId(session)
  if (session !== undefined && names !== undefined) return { sessionId: session, projectId: names.projectId }
  return projectId === undefined ? {} : { projectId }
}
