import {
  type AgentInfo,
  AioError,
  type AioEvent,
  type Orchestrator,
  type OrchestratorEvent,
  type Project,
  parseSessionId,
  type Registration,
  type Scope,
  type Session,
} from '@ai-orchestration/protocol'
import { isoTime } from '../iso-time.ts'
import { type Journal, positionOf } from '../journal/journal.ts'
import { FleetView } from './fleet-view.ts'
import { noOrchestrator, noProject, noSession } from './missing.ts'
import { ProjectNames } from './project-names.ts'

/** Everything the relay knows of its machines. */
export interface FleetState {
  orchestrators: Orchestrator[]
  projects: Project[]
  sessions: Session[]
}

/** Events that change this state; those about commands do not. */
export type StateEvent = Exclude<OrchestratorEvent, { type: `command_${string}` | `question_${string}` | 'egress' }>
type LeftReason = Extract<AioEvent, { type: 'orchestrator_left' }>['reason']

interface Host {
  orchestrator: Orchestrator
  /** Names of its commands; unknown of one that has not been seen since the relay started. */
  commands: ReadonlySet<string> | undefined
  projects: Map<string, Project>
  sessions: Map<string, Session>
}

const RETURN_MS = 30_000 // the longest pause of an orchestrator between two attempts to connect (S-5)
const LATELY_MS = 60_000 // one that was online so shortly before is expected back
const RETRY_AFTER_MS = 1_000
const OFFLINE_HOSTS_MAX = 256 // machines that are gone for good; the longest gone is forgotten first

/** The machines with their projects and sessions: as they reported them, and as last known while they are offline. */
export class Fleet {
  readonly #journal: Journal
  readonly #now: () => number
  readonly #hosts = new Map<string, Host>()
  readonly #names = new ProjectNames()
  /** Machines that were online when the relay stopped and have not come back yet, and until when that counts. */
  readonly #returning = new Set<string>()
  #returnUntil = 0

  constructor(options: { journal: Journal; now?: () => number }) {
    this.#journal = options.journal
    this.#now = options.now ?? Date.now
  }

  /** All machines, online or not. */
  orchestrators(): Orchestrator[] {
    return [...this.#hosts.values()].map((host) => host.orchestrator)
  }

  /** How many machines are online. */
  onlineCount(): number {
    return this.orchestrators().filter(({ state }) => state === 'online').length
  }

  /** Projects of one machine or of all; one whose name another machine had first is marked as conflicted. */
  projects(orchestratorId?: string): Project[] {
    return this.#select(orchestratorId).flatMap((host) =>
      [...host.projects.values()].map((project) => this.#marked(project)),
    )
  }

  /** Sessions of one project or of all. */
  sessions(projectId?: string): Session[] {
    const all = [...this.#hosts.values()].flatMap((host) => [...host.sessions.values()])
    return projectId === undefined ? all : all.filter((session) => session.projectId === projectId)
  }

  /** Agents of one machine or of all. */
  agents(orchestratorId?: string): { orchestratorId: string; agents: AgentInfo[] }[] {
    return this.#select(orchestratorId).map(({ orchestrator: { id, agents } }) => ({ orchestratorId: id, agents }))
  }

  /** @throws AioError NOT_FOUND */
  requireProject(projectId: string): Project {
    const owner = this.#names.ownerOf(projectId)
    const project = owner === undefined ? undefined : this.#hosts.get(owner)?.projects.get(projectId)
    if (project !== undefined) return project
    throw noProject(projectId)
  }

  /** @throws AioError NOT_FOUND */
  requireSession(sessionId: string): Session {
    const projectId = parseSessionId(sessionId)?.projectId
    const owner = projectId === undefined ? undefined : this.#names.ownerOf(projectId)
    const session = owner === undefined ? undefined : this.#hosts.get(owner)?.sessions.get(sessionId)
    if (session !== undefined) return session
    throw noSession(sessionId)
  }

  /** Who has a project of this name, if anyone. */
  ownerOf(projectId: string): string | undefined {
    return this.#names.ownerOf(projectId)
  }

  /** @throws AioError ORCHESTRATOR_NOT_FOUND */
  requireOrchestrator(orchestratorId: string): Orchestrator {
    return this.#require(orchestratorId).orchestrator
  }

  /** Tells whether a machine has a project of this name, conflicted or not. */
  has(orchestratorId: string, projectId: string): boolean {
    return this.#hosts.get(orchestratorId)?.projects.has(projectId) ?? false
  }

  /** The same as a token of this scope may see it. */
  seenBy(scope: Scope): FleetView {
    return new FleetView(this, scope)
  }

  /** Tells whether a machine of this id has ever connected. */
  knows(orchestratorId: string): boolean {
    return this.#hosts.has(orchestratorId)
  }

  /** Tells whether a machine is known and online. */
  isOnline(orchestratorId: string): boolean {
    return this.#hosts.get(orchestratorId)?.orchestrator.state === 'online'
  }

  /** Why a machine that is not there cannot be used: it is away, or may be on its way back after a restart of the relay. */
  offline({ id, name, lastSeenAt }: Orchestrator): AioError {
    if (this.#returning.has(id) && this.#now() < this.#returnUntil)
      return new AioError(
        'UNAVAILABLE',
        `The relay has just been started and the orchestrator "${name}" has not come back yet, so nothing was started. Try again in a moment.`,
        { details: { retryAfterMs: RETRY_AFTER_MS } },
      )
    return new AioError(
      'ORCHESTRATOR_OFFLINE',
      `The orchestrator "${name}" is offline; it was last seen at ${lastSeenAt}. Start it on that machine with: aio orchestrator`,
    )
  }

  /** Tells whether a machine offers a command, or may for all we know. */
  offers(orchestratorId: string, command: string): boolean {
    return this.#require(orchestratorId).commands?.has(command) ?? true
  }

  /** Takes over what was known before the relay restarted; every machine is offline until it says otherwise. */
  restore({ orchestrators, projects, sessions }: FleetState): void {
    this.#returnUntil = this.#now() + RETURN_MS
    for (const orchestrator of orchestrators) {
      const { state, lastSeenAt } = orchestrator
      if (state === 'online' || Date.parse(lastSeenAt) > this.#now() - LATELY_MS) this.#returning.add(orchestrator.id)
      this.#hosts.set(orchestrator.id, { orchestrator, commands: undefined, projects: new Map(), sessions: new Map() })
    }
    for (const { isConflicted: _, ...project } of projects) {
      this.#names.claim(project.id, project.orchestratorId)
      this.#hosts.get(project.orchestratorId)?.projects.set(project.id, project)
    }
    for (const session of sessions) this.#hosts.get(session.orchestratorId)?.sessions.set(session.id, session)
    for (const { id, state } of orchestrators) if (state === 'online') this.left(id, 'disconnected')
    this.#forgetLongOffline()
  }

  /** A machine came online with this state. */
  joined(registration: Registration): void {
    const { id } = registration.orchestrator
    const before = this.#hosts.get(id)
    const now = this.#stamp()
    const host: Host = {
      orchestrator: { ...registration.orchestrator, state: 'online', connectedAt: now, lastSeenAt: now },
      commands: new Set(registration.commands.map(({ name }) => name)),
      projects: before?.projects ?? new Map(),
      sessions: before?.sessions ?? new Map(),
    }
    this.#hosts.set(id, host)
    this.#returning.delete(id)
    this.#journal.append({ type: 'orchestrator_joined', orchestratorId: id, orchestrator: host.orchestrator })
    this.#reconcile(host, registration)
    this.#forgetLongOffline()
  }

  /** A machine went away; what is known of it stays. */
  left(orchestratorId: string, reason: LeftReason): void {
    const host = this.#hosts.get(orchestratorId)
    if (host === undefined) return
    host.orchestrator = { ...host.orchestrator, state: 'offline', lastSeenAt: this.#stamp() }
    this.#journal.append({ type: 'orchestrator_left', orchestratorId, reason })
  }

  /** A machine dropped events before they came here: watchers learn that there is a hole (E-5). */
  missed(): void {
    const to = positionOf(this.#journal, this.#journal.head)
    this.#journal.append({ type: 'gap', reason: 'overflow', to })
  }

  /** Takes over a change that a machine reports of itself. */
  apply(orchestratorId: string, event: StateEvent): void {
    const host = this.#require(orchestratorId)
    switch (event.type) {
      case 'session_updated':
        this.#putSession(host, event.session)
        return
      case 'session_removed':
        this.#removeSession(host, event.sessionId)
        return
      case 'project_updated':
        this.#putProject(host, event.project)
        return
      case 'project_removed':
        this.#removeProject(host, event.projectId)
        return
      case 'orchestrator_updated': {
        const { state, connectedAt } = host.orchestrator
        host.orchestrator = {
          ...event.orchestrator,
          id: orchestratorId,
          state,
          ...(connectedAt === undefined ? {} : { connectedAt }),
          lastSeenAt: this.#stamp(),
        }
        this.#journal.append({ type: 'orchestrator_updated', orchestratorId, orchestrator: host.orchestrator })
        return
      }
      default:
        event satisfies never
    }
  }

  /** Makes sure that what a command made can be found as soon as it is answered, whichever event comes first. */
  ensure(made: { project: Project } | { session: Session }, orchestratorId: string): void {
    const host = this.#require(orchestratorId)
    if ('project' in made && !host.projects.has(made.project.id)) this.#putProject(host, made.project)
    if ('session' in made && !host.sessions.has(made.session.id)) this.#putSession(host, made.session)
  }

  #reconcile(host: Host, { projects, sessions }: Registration): void {
    const projectIds = new Set(projects.map(({ id }) => id))
    const sessionIds = new Set(sessions.map(({ id }) => id))
    for (const id of [...host.sessions.keys()]) if (!sessionIds.has(id)) this.#removeSession(host, id)
    for (const id of [...host.projects.keys()]) if (!projectIds.has(id)) this.#removeProject(host, id)
    for (const project of projects) this.#putProject(host, project)
    for (const session of sessions) this.#putSession(host, session)
  }

  #putProject(host: Host, reported: Project): void {
    const orchestratorId = host.orchestrator.id // a machine speaks for itself only
    const { isConflicted: _, ...project } = { ...reported, orchestratorId }
    this.#names.claim(project.id, orchestratorId)
    const before = host.projects.get(project.id)
    host.projects.set(project.id, project)
    if (isSame(before, project)) return
    this.#journal.append({
      type: 'project_updated',
      orchestratorId,
      projectId: project.id,
      project: this.#marked(project),
    })
  }

  #removeProject(host: Host, projectId: string): void {
    const orchestratorId = host.orchestrator.id
    if (!host.projects.delete(projectId)) return
    const heir = this.#names.release(projectId, orchestratorId)
    this.#journal.append({ type: 'project_removed', orchestratorId, projectId })
    const inherited = heir === undefined ? undefined : this.#hosts.get(heir)?.projects.get(projectId)
    if (heir === undefined || inherited === undefined) return
    this.#journal.append({ type: 'project_updated', orchestratorId: heir, projectId, project: inherited })
  }

  #putSession(host: Host, reported: Session): void {
    const orchestratorId = host.orchestrator.id
    const session = { ...reported, orchestratorId }
    const before = host.sessions.get(session.id)
    host.sessions.set(session.id, session)
    if (isSame(before, session)) return
    const { id: sessionId, projectId } = session
    this.#journal.append({ type: 'session_updated', orchestratorId, projectId, sessionId, session })
  }

  #removeSession(host: Host, sessionId: string): void {
    const session = host.sessions.get(sessionId)
    if (session === undefined) return
    host.sessions.delete(sessionId)
    this.#journal.append({
      type: 'session_removed',
      orchestratorId: host.orchestrator.id,
      projectId: session.projectId,
      sessionId,
    })
  }

  #marked(project: Project): Project {
    return this.#names.ownerOf(project.id) === project.orchestratorId ? project : { ...project, isConflicted: true }
  }

  #select(orchestratorId: string | undefined): Host[] {
    return orchestratorId === undefined ? [...this.#hosts.values()] : [this.#require(orchestratorId)]
  }

  #require(orchestratorId: string): Host {
    const host = this.#hosts.get(orchestratorId)
    if (host !== undefined) return host
    throw noOrchestrator(orchestratorId)
  }

  #forgetLongOffline(): void {
    const gone = [...this.#hosts.values()]
      .filter(({ orchestrator }) => orchestrator.state === 'offline')
      .sort((a, b) => a.orchestrator.lastSeenAt.localeCompare(b.orchestrator.lastSeenAt))
    for (const host of gone.slice(0, Math.max(0, gone.length - OFFLINE_HOSTS_MAX))) {
      for (const id of [...host.sessions.keys()]) this.#removeSession(host, id)
      for (const id of [...host.projects.keys()]) this.#removeProject(host, id)
      this.#hosts.delete(host.orchestrator.id)
    }
  }

  #stamp(): string {
    return isoTime(this.#now())
  }
}

function isSame(before: unknown, after: unknown): boolean {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(after)
}
