import {
  type AgentInfo,
  AioError,
  type AioEvent,
  type Orchestrator,
  type Project,
  parseSessionId,
  type Scope,
  type Session,
} from '@ai-orchestration/protocol'
import { describeScope, holdsOrchestrator, holdsProject, isLimited } from '../auth/scope.ts'
import { projectOf } from '../delivery/filter.ts'
import type { Fleet, FleetState } from './fleet.ts'
import { noOrchestrator, noProject, noSession } from './missing.ts'

/**
 * The machines as one token may see them: the one place where its scope is applied to what is shown, named or run. What is out
 * of scope looks as if it were not there. A token that is limited to projects sees the machines that have one of them.
 */
export class FleetView {
  readonly #fleet: Fleet
  readonly #scope: Scope

  constructor(fleet: Fleet, scope: Scope) {
    this.#fleet = fleet
    this.#scope = scope
  }

  /** Machines, online or not. */
  orchestrators(): Orchestrator[] {
    const all = this.#fleet.orchestrators()
    return isLimited(this.#scope) ? all.filter(({ id }) => this.#seesOrchestrator(id)) : all
  }

  /** Projects of one machine or of all. @throws AioError ORCHESTRATOR_NOT_FOUND */
  projects(orchestratorId?: string): Project[] {
    if (orchestratorId !== undefined) this.requireOrchestrator(orchestratorId)
    const all = this.#fleet.projects(orchestratorId)
    return isLimited(this.#scope) ? all.filter(({ id, orchestratorId: on }) => this.#holds(on, id)) : all
  }

  /** Sessions of one project or of all. */
  sessions(projectId?: string): Session[] {
    const all = this.#fleet.sessions(projectId)
    return isLimited(this.#scope) ? all.filter((one) => this.#holds(one.orchestratorId, one.projectId)) : all
  }

  /** Agents of one machine or of all. @throws AioError ORCHESTRATOR_NOT_FOUND */
  agents(orchestratorId?: string): { orchestratorId: string; agents: AgentInfo[] }[] {
    if (orchestratorId !== undefined) this.requireOrchestrator(orchestratorId)
    return this.#fleet.agents(orchestratorId).filter(({ orchestratorId: id }) => this.#seesOrchestrator(id))
  }

  /** All of it, for a snapshot. */
  state(): FleetState {
    return { orchestrators: this.orchestrators(), projects: this.projects(), sessions: this.sessions() }
  }

  /** @throws AioError NOT_FOUND */
  requireProject(projectId: string): Project {
    if (!holdsProject(this.#scope, projectId)) throw noProject(projectId)
    const project = this.#fleet.requireProject(projectId)
    if (!holdsOrchestrator(this.#scope, project.orchestratorId)) throw noProject(projectId)
    return project
  }

  /** @throws AioError NOT_FOUND */
  requireSession(sessionId: string): Session {
    const projectId = parseSessionId(sessionId)?.projectId
    if (projectId === undefined || !holdsProject(this.#scope, projectId)) throw noSession(sessionId)
    const session = this.#fleet.requireSession(sessionId)
    if (!holdsOrchestrator(this.#scope, session.orchestratorId)) throw noSession(sessionId)
    return session
  }

  /** @throws AioError ORCHESTRATOR_NOT_FOUND */
  requireOrchestrator(orchestratorId: string): Orchestrator {
    if (!this.#seesOrchestrator(orchestratorId)) throw noOrchestrator(orchestratorId)
    return this.#fleet.requireOrchestrator(orchestratorId)
  }

  /** @throws AioError ORCHESTRATOR_NOT_FOUND, ORCHESTRATOR_OFFLINE, UNAVAILABLE */
  requireOnline(orchestratorId: string): Orchestrator {
    const orchestrator = this.requireOrchestrator(orchestratorId)
    if (orchestrator.state === 'offline') throw this.#fleet.offline(orchestrator)
    return orchestrator
  }

  /** Why a machine that is not there cannot be used. */
  offline(orchestrator: Orchestrator): AioError {
    return this.#fleet.offline(orchestrator)
  }

  /** The machine that has a project of this name, if it may be seen. */
  ownerOf(projectId: string): string | undefined {
    const owner = this.#fleet.ownerOf(projectId)
    return owner !== undefined && this.#holds(owner, projectId) ? owner : undefined
  }

  /** Tells whether the name of a project is taken, by whomever: names are unique for all. */
  isTaken(projectId: string): boolean {
    return this.#fleet.ownerOf(projectId) !== undefined
  }

  /** Tells whether a machine offers a command, or may for all we know. */
  offers(orchestratorId: string, command: string): boolean {
    return this.#fleet.offers(orchestratorId, command)
  }

  /** Tells whether a command, a question or the like is for this token's eyes. */
  sees({ orchestratorId, projectId }: { orchestratorId: string; projectId?: string | undefined }): boolean {
    return this.#holds(orchestratorId, projectId)
  }

  /** Tells whether an event is for this token's eyes. */
  seesEvent(event: AioEvent): boolean {
    if (event.type === 'gap' || event.type === 'snapshot' || !isLimited(this.#scope)) return true
    const { orchestratorId } = event
    switch (event.type) {
      case 'orchestrator_joined':
      case 'orchestrator_left':
      case 'orchestrator_updated':
        return this.#seesOrchestrator(orchestratorId)
      default:
        return this.#holds(orchestratorId, projectOf(event))
    }
  }

  /**
   * Refuses a command that this token may not ask for, as far as that can be said before it is known where it would go.
   *
   * @throws AioError NOT_FOUND for a project out of scope, FORBIDDEN for what is not about a project at all.
   */
  refuseCommand(command: string, projectId: string | undefined): void {
    const { projects } = this.#scope
    if (projects === undefined) return
    if (projectId === undefined || command === 'create_project')
      throw new AioError(
        'FORBIDDEN',
        `This token is limited to ${describeScope(this.#scope)} and ${command} concerns a machine as a whole. Ask an admin.`,
      )
    if (!projects.includes(projectId)) throw noProject(projectId)
  }

  #seesOrchestrator(orchestratorId: string): boolean {
    const { projects } = this.#scope
    if (!holdsOrchestrator(this.#scope, orchestratorId)) return false
    return projects === undefined || projects.some((id) => this.#fleet.has(orchestratorId, id))
  }

  #holds(orchestratorId: string, projectId: string | undefined): boolean {
    if (!holdsOrchestrator(this.#scope, orchestratorId)) return false
    return projectId === undefined ? this.#scope.projects === undefined : holdsProject(this.#scope, projectId)
  }
}
