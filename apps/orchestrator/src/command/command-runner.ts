import { setTimeout as sleep } from 'node:timers/promises'
import {
  AioError,
  type CommandState,
  type Dispatch,
  type OrchestratorEvent,
  type Registration,
  toAioError,
} from '@ai-orchestration/protocol'
import { decodeTime } from 'ulid'
import type { Journal } from '../journal/journal.ts'
import type { CommandFacts, FinalEvent, Unfinished } from '../journal/journal-format.ts'
import type { Logger } from '../log.ts'
import { type About, aboutOf } from './about.ts'
import type { Services } from './define-command.ts'
import { expired, failure, forgotten, unsure } from './final-event.ts'
import type { CommandRegistry, RunnableCommand } from './registry.ts'
import { StepList } from './steps.ts'
import { type Turn, Turns } from './turns.ts'

type Run = Extract<Dispatch, { type: 'run' }>

/** A command that has not ended. */
interface Open {
  state: CommandState
  cancel: AbortController
}

/** So many commands that ended are told to the relay at a registration; the journal knows the others. */
const TOLD = 2_000

/** How often it is looked whether all have ended, in milliseconds; only when we are told to stop. */
const DRAIN_LOOK_MS = 20

/** Runs dispatched commands: each at most once, ever (C-2), those of one session one after the other (C-10). */
export class CommandRunner {
  readonly #registry: CommandRegistry
  readonly #services: Services
  readonly #log: Logger
  readonly #journal: Journal
  readonly #publish: (event: OrchestratorEvent) => void
  readonly #turns = new Turns()
  readonly #open = new Map<string, Open>()
  #isDraining = false
  /** Commands that ended, oldest first. */
  readonly #ended: Map<string, CommandState>

  constructor(options: {
    registry: CommandRegistry
    services: Services
    log: Logger
    journal: Journal
    publish: (event: OrchestratorEvent) => void
  }) {
    this.#registry = options.registry
    this.#services = options.services
    this.#log = options.log
    this.#journal = options.journal
    this.#publish = options.publish
    const { recent } = options.journal.content
    this.#ended = new Map(recent.toReversed().map(({ commandId, state }) => [commandId, state]))
  }

  /** The commands it knows and how they stand, for the relay at registration. */
  known(): Registration['known'] {
    const open = [...this.#open].map(([commandId, { state }]) => ({ commandId, state }))
    return [...this.#ended].map(([commandId, state]) => ({ commandId, state })).concat(open)
  }

  /** Takes what the relay sends. A command that is known is not run again: how it ended is said once more. */
  dispatch(dispatch: Dispatch): void {
    const { commandId } = dispatch
    // What is dispatched from now on is dispatched again to the next process.
    if (this.#isDraining && dispatch.type === 'run') return
    const open = this.#open.get(commandId)
    switch (dispatch.type) {
      case 'cancel':
        if (open !== undefined) open.cancel.abort(new AioError('CANCELLED', 'The command was cancelled.'))
        else this.#inBackground(commandId, this.#sayAgain(commandId))
        return
      case 'tell':
        if (open === undefined) this.#inBackground(commandId, this.#tell(commandId, dispatch.command))
        return
      case 'run':
        if (open === undefined) this.#inBackground(commandId, this.#accept(dispatch))
        return
      default:
        dispatch satisfies never
    }
  }

  /**
   * Brings commands to an end that an earlier orchestrator began and did not finish (C-4). None is run again (C-6).
   *
   * @param settle says how such a command stands now, after what can be undone was undone.
   */
  async recover(settle: (unfinished: Unfinished) => Promise<FinalEvent>): Promise<void> {
    const { unfinished } = this.#journal
    for (const { commandId } of unfinished)
      this.#open.set(commandId, { state: 'running', cancel: new AbortController() })
    await Promise.all(
      unfinished.map(async (command) => {
        this.#log.warn({ requestId: command.commandId, command: command.command }, 'a command was cut off by a restart')
        this.#end(command, await settle(command))
      }),
    )
  }

  /**
   * Begins no command any more and waits for those that run, at most so many milliseconds. Those that still run then are in the
   * journal, and the next process brings them to an end.
   */
  async drain(limitMs: number): Promise<void> {
    this.#isDraining = true
    const running = () => this.#open.values().filter(({ state }) => state === 'running')
    const deadline = performance.now() + limitMs
    while (running().some(() => true) && performance.now() < deadline) await sleep(DRAIN_LOOK_MS)
    const cutOff = [...running()].length
    if (cutOff > 0)
      this.#log.warn({ commands: cutOff }, 'commands still run and are cut off; they end at the next start')
  }

  async #accept(dispatch: Run): Promise<void> {
    const { commandId } = dispatch
    const about = aboutOf(dispatch)
    this.#log.info(
      { requestId: commandId, command: dispatch.command, by: dispatch.by.name, ...about },
      'a command came in',
    )
    const open: Open = { state: 'dispatched', cancel: new AbortController() }
    this.#open.set(commandId, open)
    // The place in the session's queue is taken at once: this is the order in which the relay accepted (C-10).
    using lane = this.#turns.join(
      about.sessionId === undefined ? `command ${commandId}` : `session ${about.sessionId}`,
      1,
    )
    const facts = factsOf(dispatch, about)
    const event = await this.#once({ dispatch, about, facts, open, lane })
    if (event === undefined) this.#open.delete(commandId)
    else this.#end(facts, event)
  }

  /** Waits for its turn and begins it, unless it is too late for that by then or the journal knows how it ended; nothing when we stop. */
  async #once(call: {
    dispatch: Run
    about: About
    facts: CommandFacts
    open: Open
    lane: Turn
  }): Promise<FinalEvent | undefined> {
    const { dispatch, about, facts, open, lane } = call
    using wait = waitingTime(open.cancel.signal, dispatch.ttlMs)
    try {
      const ended = await this.#journal.find(dispatch.commandId)
      if (ended !== undefined) return ended
      const { unsureBefore } = this.#journal.content
      if (unsureBefore !== undefined && decodeTime(dispatch.commandId) < unsureBefore)
        return failure(dispatch, about, 'interrupted', unsure())
      const command = this.#registry.require(dispatch.command)
      const input = command.checkInput(dispatch.input)
      await lane.ready(wait.signal)
      using slot = this.#turns.join(`command ${command.name}`, command.concurrency)
      await slot.ready(wait.signal)
      if (this.#isDraining) return undefined
      const isNew = await this.#journal.start(facts)
      if (!isNew) throw new AioError('CONFLICT', 'This command is on record as started, so it was not started again.')
      // Writing it took time, in which the relay may have given it up.
      wait.signal.throwIfAborted()
      wait[Symbol.dispose]()
      return await this.#run(dispatch, { command, input, about, open })
    } catch (error) {
      if (open.cancel.signal.aborted)
        return failure(dispatch, about, 'cancelled', toAioError(open.cancel.signal.reason))
      return failure(dispatch, about, wait.signal.aborted ? 'expired' : 'rejected', toAioError(error))
    }
  }

  /** Runs it to its end, whatever that is; it has been recorded as started. */
  async #run(
    dispatch: Run,
    { command, input, about, open }: { command: RunnableCommand; input: unknown; about: About; open: Open },
  ): Promise<FinalEvent> {
    const { commandId, by } = dispatch
    open.state = 'running'
    this.#publish({ type: 'command_ack', ...about, commandId })
    using limit = timeLimit(command.timeoutMs)
    const timeout = limit.signal
    const steps = new StepList(AbortSignal.any([open.cancel.signal, timeout]), (report) => {
      if (report.step !== undefined) this.#journal.step(commandId, report.step)
      this.#publish({ type: 'command_progress', ...about, commandId, ...report })
    })
    try {
      const output = await command.run(input, {
        ...this.#services,
        commandId,
        by,
        steps,
        log: this.#log.child({ requestId: commandId }),
      })
      return { type: 'command_result', ...about, commandId, command: command.name, output }
    } catch (error) {
      const completed = steps.completed()
      const problems = await steps.undo()
      const cause = timeout.aborted
        ? new AioError('TIMEOUT', `${command.name} did not finish within ${command.timeoutMs} ms and was stopped.`)
        : toAioError(open.cancel.signal.aborted ? open.cancel.signal.reason : error)
      if (cause.code === 'INTERNAL')
        this.#log.error({ err: error, requestId: commandId }, 'a command failed in a way we did not foresee')
      if (problems.length === 0)
        return failure(dispatch, about, cause.code === 'CANCELLED' ? 'cancelled' : 'failed', cause)
      const message = `${cause.message} ${problems.join(' ')}`
      return failure(dispatch, about, 'interrupted', new AioError('INTERRUPTED', message, { details: { completed } }))
    }
  }

  // Record and message are made in one turn, and so committed together; the message is sent after that.
  #end(facts: CommandFacts, event: FinalEvent): void {
    const { commandId, command } = facts
    this.#journal.finish(facts, event)
    this.#publish(event)
    const ending =
      event.type === 'command_result' ? { state: 'succeeded' } : { state: event.state, code: event.error.code }
    this.#log.info({ requestId: commandId, command, ...ending }, 'a command ended')
    this.#open.delete(commandId)
    this.#ended.set(commandId, event.type === 'command_result' ? 'succeeded' : event.state)
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= TOLD) return
      this.#ended.delete(oldest)
    }
  }

  // What is in nobody's record can only be called unfinished, and never be run again (C-4, C-6).
  async #tell(commandId: string, command: string): Promise<void> {
    const ended = await this.#journal.find(commandId)
    if (ended !== undefined) return this.#publish(ended)
    const facts = { commandId, command, projectId: undefined, sessionId: undefined }
    this.#end(facts, failure(facts, {}, 'interrupted', forgotten()))
  }

  async #sayAgain(commandId: string): Promise<void> {
    const ended = await this.#journal.find(commandId)
    if (ended !== undefined) this.#publish(ended)
  }

  #inBackground(commandId: string, work: Promise<void>): void {
    work.catch((error: unknown) =>
      this.#log.error({ err: error, requestId: commandId }, 'a dispatch could not be taken'),
    )
  }
}

/** Aborted when a command that waits is cancelled or has waited for its time to live, by the monotonic clock (C-7). */
function waitingTime(cancelled: AbortSignal, ttlMs: number): { signal: AbortSignal } & Disposable {
  const over = new AbortController()
  if (ttlMs <= 0) over.abort(expired()) // not by a timer, which what it races with might beat
  const timer = setTimeout(() => over.abort(expired()), Math.max(0, ttlMs))
  timer.unref()
  return { signal: AbortSignal.any([cancelled, over.signal]), [Symbol.dispose]: () => clearTimeout(timer) }
}

/** Aborted after that time. Not AbortSignal.timeout: its timer would hold what belongs to a command long after the command's end. */
function timeLimit(ms: number): { signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), ms)
  timer.unref()
  return { signal: over.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

function factsOf({ commandId, command }: Run, { projectId, sessionId }: About): CommandFacts {
  return { commandId, command, projectId, sessionId }
}
