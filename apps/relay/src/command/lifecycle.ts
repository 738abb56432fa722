import {
  type Command,
  type CommandState,
  type Dispatch,
  isFinal,
  type OrchestratorEvent,
  projectSchema,
  type Registration,
  sessionSchema,
  toAioError,
  type WireError,
} from '@ai-orchestration/protocol'
import type { Fleet } from '../fleet/fleet.ts'
import type { LinkBook } from '../fleet/link-book.ts'
import { isoTime } from '../iso-time.ts'
import type { Journal } from '../journal/journal.ts'
import type { Endings } from '../metrics/endings.ts'
import type { CancelOutcome } from '../router/commands.ts'
import { checkedOutput } from './built-in.ts'
import { Deadlines } from './deadlines.ts'
import { forgottenEntry } from './forgotten-entry.ts'
import type { Entry, Ledger } from './ledger.ts'
import { WaitingCallers } from './waiting-callers.ts'

/** What an orchestrator says about commands. */
export type CommandEvent = Extract<OrchestratorEvent, { type: `command_${string}` }>

/** What becomes of accepted commands: handed over, acknowledged, under way, unknown, and one final state each (C-4). */
export class Lifecycle {
  readonly #fleet: Fleet
  readonly #book: LinkBook
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #endings: Endings
  readonly #now: () => number
  readonly #deadlines = new Deadlines()
  readonly #callers = new WaitingCallers()
  /** Commands that will be handed over as soon as it is kept that they may have been. */
  readonly #offering = new Set<string>()
  /** Commands whose end only their orchestrator may know; it is asked as soon as it listens. */
  readonly #toAsk = new Set<string>()

  constructor(options: {
    fleet: Fleet
    book: LinkBook
    journal: Journal
    ledger: Ledger
    endings: Endings
    now?: () => number
  }) {
    this.#fleet = options.fleet
    this.#book = options.book
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#endings = options.endings
    this.#now = options.now ?? Date.now
  }

  /** Takes over what was open when the relay stopped: what may have begun is unknown until its orchestrator is back (C-5). */
  restore(): void {
    for (const entry of [...this.#ledger.open()]) {
      if (!entry.wasAcknowledged) this.#setDeadline(entry)
      if (entry.wasDispatched) this.#update(entry, { state: 'unknown' })
    }
  }

  /** Keeps a command, which is then accepted (C-1), and hands it over when its orchestrator is there. Ask {@link outcome} how it goes. */
  begin(entry: Entry): void {
    // Said before it is done, in the same write: it goes out as soon as it is kept.
    entry.wasDispatched = this.#isOnline(entry)
    this.#ledger.accept(entry).then(
      () => this.#accepted(entry),
      (error: unknown) => this.#callers.refused(entry.command.commandId, error),
    )
    // In the same batch: one wait for the disk, not two.
    this.#journal.appendWith({
      type: 'command_request',
      ...aboutCommand(entry.command),
      command: entry.command.command,
      by: entry.by.name,
    })
  }

  /** Resolves with the final state of a command, once that cannot be lost any more. @throws AioError when it was not accepted after all. */
  async outcome({ command }: Entry): Promise<Command> {
    if (isFinal(command.state)) {
      await this.#ledger.settled()
      return command
    }
    return await this.#callers.endOf(command.commandId)
  }

  /** Asks for a command to stop, or prevents that it starts. */
  async cancel(entry: Entry): Promise<CancelOutcome> {
    if (isFinal(entry.command.state)) return 'too-late'
    if (!entry.wasDispatched || this.#offering.has(entry.command.commandId)) {
      this.#fail(entry, 'cancelled', { code: 'CANCELLED', message: 'The command was cancelled before it started.' })
      await this.#ledger.settled()
      return 'prevented'
    }
    entry.cancelRequested = true
    this.#ledger.put(entry)
    this.#send(entry.command.orchestratorId, { type: 'cancel', commandId: entry.command.commandId })
    return 'stopping'
  }

  /** Takes what an orchestrator says about one of its commands. */
  take(orchestratorId: string, event: CommandEvent): void {
    const entry = this.#ledger.get(event.commandId)
    if (entry === undefined) {
      this.#takeForgotten(orchestratorId, event)
      return
    }
    // Said twice, too late, too early, or by one it does not belong to: the first and rightful word stands.
    if (entry.command.orchestratorId !== orchestratorId || !entry.isKept || isFinal(entry.command.state)) return
    entry.wasAcknowledged = true
    this.#deadlines.clear(event.commandId)
    switch (event.type) {
      case 'command_ack':
        this.#running(entry, event, {})
        return
      case 'command_progress':
        this.#running(entry, event, event.progress === undefined ? {} : { progress: event.progress })
        return
      case 'command_result':
        this.#succeed(entry, event)
        return
      case 'command_error':
        this.#fail(entry, event.state, event.error)
        return
      default:
        event satisfies never
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
      // Forgotten there, or among so many that ended that not all were told.
      else if (entry.wasAcknowledged) this.#toAsk.add(entry.command.commandId)
      // Others it is asked about again: either they never got there, or they are too long ago for what it says at once.
    }
  }

  /** Hands an orchestrator everything it has not acknowledged; it knows by the id what it has. */
  resend(orchestratorId: string): void {
    for (const entry of this.#openOf(orchestratorId)) {
      const { commandId, command } = entry.command
      if (this.#toAsk.delete(commandId)) this.#send(orchestratorId, { type: 'tell', commandId, command })
      else if (!entry.wasAcknowledged) this.#dispatch(entry)
      if (entry.cancelRequested) this.#send(orchestratorId, { type: 'cancel', commandId })
    }
  }

  #accepted(entry: Entry): void {
    entry.isKept = true
    this.#setDeadline(entry)
    if (entry.wasDispatched) this.#handOver(entry, false)
    else this.#dispatch(entry)
  }

  #setDeadline(entry: Entry): void {
    this.#deadlines.set(entry.command.commandId, entry.deadline, () => this.#overdue(entry))
  }

  // That it may have begun is kept before it can: a relay that is killed in between must not call it never started.
  #dispatch(entry: Entry): void {
    const { commandId } = entry.command
    if (!this.#isOnline(entry) || this.#offering.has(commandId)) return
    if (entry.wasDispatched) {
      this.#handOver(entry, true)
      return
    }
    entry.wasDispatched = true
    this.#ledger.put(entry)
    this.#offering.add(commandId)
    void this.#ledger.settled().then(() => {
      this.#offering.delete(commandId)
      this.#handOver(entry, false)
    })
  }

  #handOver(entry: Entry, wasHandedOver: boolean): void {
    if (isFinal(entry.command.state)) return
    const { orchestratorId, commandId, command } = entry.command
    const sentAt = performance.now()
    const ttlMs = Math.max(0, entry.deadline - sentAt)
    const run: Dispatch = { type: 'run', commandId, command, input: entry.input, ttlMs, sentAt, by: entry.by }
    entry.wasDispatched = true
    // What may have begun is sent also when its time is over: the machine says how it ended, or that it never started.
    if ((ttlMs > 0 || wasHandedOver) && this.#send(orchestratorId, run)) {
      this.#update(entry, { state: 'dispatched' })
      return
    }
    entry.wasDispatched = wasHandedOver
    if (ttlMs === 0) this.#overdue(entry)
  }

  #isOnline({ command }: Entry): boolean {
    return this.#book.byOrchestrator(command.orchestratorId) !== undefined
  }

  #send(orchestratorId: string, dispatch: Dispatch): boolean {
    const link = this.#book.byOrchestrator(orchestratorId)
    link?.dispatches.push(dispatch)
    return link !== undefined
  }

  #overdue(entry: Entry): void {
    if (isFinal(entry.command.state) || entry.wasAcknowledged) return
    // It was handed over and may have begun: only that machine can say, also when it seems to be online. Its word may be held up on
    // a path that is dead in one direction, which takes longer to notice than any grace.
    if (entry.wasDispatched) return
    this.#fail(entry, 'expired', {
      code: 'EXPIRED',
      message: 'The orchestrator did not take the command within its time to live, so it will not start. Run it again.',
    })
  }

  #resolve(entry: Entry, state: CommandState): void {
    entry.wasAcknowledged = true
    this.#deadlines.clear(entry.command.commandId)
    if (!isFinal(state)) this.#update(entry, { state: 'running' })
    // Its end is an event on the way. Or it was taken once and lost here since, as when the database is an older copy.
    else this.#toAsk.add(entry.command.commandId)
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
      this.#fail(entry, 'failed', toAioError(error).toWire())
      return
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

  #fail(entry: Entry, state: Extract<CommandEvent, { type: 'command_error' }>['state'], error: WireError): void {
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
    this.#ledger.put(forgottenEntry(orchestratorId, event, this.#stamp()))
  }

  #update(entry: Entry, change: Partial<Command>): void {
    entry.command = { ...entry.command, ...change, updatedAt: this.#stamp() }
    if (isFinal(entry.command.state)) entry.input = undefined
    this.#ledger.put(entry)
  }

  #settle({ command }: Entry): void {
    this.#endings.add(command)
    this.#deadlines.clear(command.commandId)
    this.#toAsk.delete(command.commandId)
    // Nobody is told of an end that a crash could take back.
    this.#callers.ended(command, () => this.#ledger.settled())
  }

  #openOf(orchestratorId: string): Entry[] {
    return [...this.#ledger.open()].filter(({ command, isKept }) => isKept && command.orchestratorId === orchestratorId)
  }

  #stamp(): string {
    return isoTime(this.#now())
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
