import {
  AioError,
  CLOSE_CODES,
  type Dispatch,
  type HostFacts,
  LINK_VERSION,
  type OrchestratorEvent,
  type Principal,
  type Publication,
  type Registered,
  type Registration,
  VERSION,
} from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { type HostGuard, otherMachine } from '../auth/host-guard.ts'
import { isOtherBoot, isOtherMachine } from '../auth/host-key.ts'
import type { Lifecycle } from '../command/lifecycle.ts'
import type { Peer } from '../context.ts'
import type { Inbox } from '../inbox/inbox.ts'
import type { Journal } from '../journal/journal.ts'
import type { Fleet } from './fleet.ts'
import type { Caller, Link, LinkBook } from './link-book.ts'
import type { Mailbox } from './mailbox.ts'
import type { TakenMarks } from './taken.ts'

/** The relay's side of the connections with orchestrators: registration, fencing, commands down, events up. */
export class Links {
  readonly #book: LinkBook
  readonly #guard: HostGuard
  readonly #fleet: Fleet
  readonly #inbox: Inbox
  readonly #journal: Journal
  readonly #lifecycle: Lifecycle
  readonly #log: Logger
  readonly #marks: TakenMarks
  /** What each orchestrator calls the numbering of its events. */
  readonly #outboxes = new Map<string, string | undefined>()
  /** Where those stand that do not name it: a new process of theirs counts from 1 again. */
  readonly #unnamed = new Map<string, { epoch: number; seq: number }>()

  constructor(options: {
    book: LinkBook
    guard: HostGuard
    fleet: Fleet
    inbox: Inbox
    journal: Journal
    lifecycle: Lifecycle
    marks: TakenMarks
    log: Logger
  }) {
    this.#guard = options.guard
    this.#book = options.book
    this.#fleet = options.fleet
    this.#inbox = options.inbox
    this.#journal = options.journal
    this.#lifecycle = options.lifecycle
    this.#marks = options.marks
    this.#log = options.log
  }

  /**
   * Takes an orchestrator in. A connection of the same orchestrator that is still there is superseded (C-9).
   *
   * @throws AioError UPGRADE_REQUIRED, FORBIDDEN for who is not that machine, CONFLICT while another like it is connected
   */
  register(principal: Principal, peer: Peer | undefined, registration: Registration): Registered {
    if (peer === undefined) throw new AioError('INVALID_INPUT', 'An orchestrator registers over the WebSocket at /ws.')
    if (registration.linkVersion !== LINK_VERSION)
      throw new AioError(
        'UPGRADE_REQUIRED',
        `This relay (${VERSION}) speaks version ${LINK_VERSION} of the orchestrator protocol and this orchestrator speaks ${registration.linkVersion}. Update the older one.`,
      )
    const { id, name } = registration.orchestrator
    const { facts } = registration.host ?? {}
    const isProven = this.#guard.admit(principal, { peer, orchestratorId: id, proof: registration.host })
    this.#supersede(id, principal, { peer, facts })
    const link = this.#book.open({ orchestratorId: id, tokenId: principal.tokenId, peer, facts, isProven })
    this.#outboxes.set(id, registration.outbox)
    this.#fleet.joined(registration)
    const known = new Set(this.#fleet.orchestrators().map((each) => each.id))
    this.#inbox.joined(id, registration.questions, (orchestratorId) => known.has(orchestratorId))
    this.#lifecycle.returned(id, registration.known)
    peer.signal.addEventListener('abort', () => this.#left(link), { once: true })
    this.#log.info({ orchestratorId: id, name, epoch: link.epoch, tokenId: principal.tokenId }, 'orchestrator joined')
    return { epoch: link.epoch, relayVersion: VERSION, clock: performance.now(), linkKey: link.key }
  }

  /** What an orchestrator is to do, from now on; what it has not acknowledged comes again. */
  dispatches(caller: Caller, epoch: number): Mailbox<Dispatch> {
    const link = this.#book.require(caller, epoch)
    link.dispatches.clear()
    this.#lifecycle.resend(link.orchestratorId)
    return link.dispatches
  }

  /** Takes events of an orchestrator, each once (a repeated number is dropped). */
  publish(caller: Caller, { epoch, events }: Publication): void {
    const { orchestratorId } = this.#book.require(caller, epoch)
    const before = this.#takenBefore(orchestratorId, epoch, events[0]?.seq === 1)
    let last = before
    for (const { seq, event, lost } of events) {
      // Also with an event that came before: the answer to it may have been lost, and more dropped since.
      if (lost !== undefined) this.#missed(orchestratorId, lost)
      if (seq <= last) continue
      last = seq
      this.#take(orchestratorId, event)
    }
    const outbox = this.#outboxes.get(orchestratorId)
    if (outbox === undefined) this.#unnamed.set(orchestratorId, { epoch, seq: last })
    // In the same write as the events: after a crash both are there or neither, and what comes again is known.
    else if (last > before) this.#marks.put(orchestratorId, { outbox, seq: last })
  }

  #takenBefore(orchestratorId: string, epoch: number, beginsAtOne: boolean): number {
    const outbox = this.#outboxes.get(orchestratorId)
    if (outbox === undefined) {
      const taken = this.#unnamed.get(orchestratorId)
      return taken === undefined || (taken.epoch !== epoch && beginsAtOne) ? 0 : taken.seq
    }
    const mark = this.#marks.get(orchestratorId)
    return mark?.outbox === outbox ? mark.seq : 0
  }

  #missed(orchestratorId: string, lost: number): void {
    this.#log.warn(
      { orchestratorId, lost },
      'an orchestrator had no room for events while it was away and dropped some',
    )
    this.#fleet.missed()
  }

  #take(orchestratorId: string, event: OrchestratorEvent): void {
    switch (event.type) {
      case 'command_ack':
      case 'command_progress':
      case 'command_result':
      case 'command_error':
        this.#lifecycle.take(orchestratorId, event)
        return
      case 'question_asked':
      case 'question_answered':
      case 'question_withdrawn':
        this.#inbox.apply(orchestratorId, event)
        return
      case 'egress':
        this.#journal.append({ ...event, orchestratorId })
        return
      default:
        this.#fleet.apply(orchestratorId, event)
        return
    }
  }

  #supersede(
    orchestratorId: string,
    principal: Principal,
    { peer, facts }: { peer: Peer; facts: HostFacts | undefined },
  ): void {
    const other = this.#book.byPeer(peer)
    if (other !== undefined && other.orchestratorId !== orchestratorId) this.#end(other, 'disconnected')
    const old = this.#book.byOrchestrator(orchestratorId)
    if (old === undefined) return
    if (old.tokenId !== principal.tokenId)
      throw new AioError(
        'FORBIDDEN',
        'An orchestrator with this id is connected with another token. Stop that one first, or revoke its token.',
      )
    if (old.facts !== undefined && facts !== undefined) {
      if (isOtherMachine(old.facts, facts)) throw otherMachine(orchestratorId)
      if (isOtherBoot(old.facts, facts))
        throw new AioError(
          'CONFLICT',
          'A machine with the same id is connected that was booted at another time. If this one has just rebooted, it is let in once the connection from before is found dead, within 40 seconds. If its disk is a copy, remove AIO_HOME/orchestrator here.',
        )
    }
    this.#end(old, 'superseded')
    if (old.peer !== peer)
      old.peer.close(CLOSE_CODES.superseded, 'CONFLICT: another connection of this orchestrator took over')
  }

  #left(link: Link): void {
    if (this.#book.byOrchestrator(link.orchestratorId) === link) this.#end(link, 'disconnected')
  }

  #end(link: Link, reason: 'disconnected' | 'superseded'): void {
    this.#book.close(link)
    this.#fleet.left(link.orchestratorId, reason)
    this.#lifecycle.wentAway(link.orchestratorId)
    this.#log.info({ orchestratorId: link.orchestratorId, epoch: link.epoch, reason }, 'orchestrator left')
  }
}
