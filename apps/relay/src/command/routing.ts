import { AioError, type Orchestrator } from '@ai-orchestration/protocol'
import type { FleetView } from '../fleet/fleet-view.ts'
import { type About, isBuiltIn } from './built-in.ts'

/**
 * Which orchestrator a command goes to: the one that owns its project or session, else the one named, else the only one.
 *
 * @throws AioError NOT_FOUND, ORCHESTRATOR_NOT_FOUND, ORCHESTRATOR_OFFLINE, INVALID_INPUT, CONFLICT, UNKNOWN_COMMAND
 */
export function route(
  fleet: FleetView,
  request: {
    command: string
    about: About
    orchestratorId: string | undefined
    /** True when the command may wait for a machine that is offline. */
    mayWait: boolean
  },
): string {
  const target = targetOf(fleet, request)
  if (!request.mayWait) fleet.requireOnline(target)
  if (!fleet.offers(target, request.command) && !isBuiltIn(request.command))
    throw new AioError(
      'UNKNOWN_COMMAND',
      `The orchestrator "${fleet.requireOrchestrator(target).name}" has no command "${request.command.slice(0, 64)}". Its commands are listed in its commands.toml.`,
    )
  return target
}

function targetOf(fleet: FleetView, { command, about, orchestratorId, mayWait }: Parameters<typeof route>[1]): string {
  if (command === 'create_project') {
    const owner = about.projectId === undefined ? undefined : fleet.ownerOf(about.projectId)
    // Its owner knows better than we do whether this is a repeat of the command that made it.
    if (owner !== undefined && (orchestratorId ?? owner) === owner && isOnline(fleet.requireOrchestrator(owner)))
      return owner
    if (owner !== undefined)
      throw new AioError(
        'CONFLICT',
        `There is already a project "${about.projectId}" on the orchestrator "${fleet.requireOrchestrator(owner).name}". Choose another name.`,
      )
    if (about.projectId !== undefined && fleet.isTaken(about.projectId))
      throw new AioError('CONFLICT', `There is already a project "${about.projectId}". Choose another name.`)
  } else if (isBuiltIn(command)) {
    const owned = ownerOf(fleet, command, about)
    if (owned !== undefined) return agreeing(fleet, owned, orchestratorId)
  } else if (orchestratorId === undefined && about.projectId !== undefined) {
    // A custom command's fields are its own business; a projectId that is known still says where to go.
    const owner = fleet.ownerOf(about.projectId)
    if (owner !== undefined) return owner
  }
  if (orchestratorId !== undefined) return fleet.requireOrchestrator(orchestratorId).id
  return onlyOne(fleet, mayWait).id
}

/** The machine to use when none is named. @throws AioError ORCHESTRATOR_NOT_FOUND, ORCHESTRATOR_OFFLINE, UNAVAILABLE, INVALID_INPUT */
function onlyOne(fleet: FleetView, mayWait: boolean): Orchestrator {
  const all = fleet.orchestrators()
  const [known, ...others] = all
  if (known === undefined)
    throw new AioError(
      'ORCHESTRATOR_NOT_FOUND',
      'No orchestrator has connected to this relay yet. Start one with: aio orchestrator',
    )
  if (mayWait && others.length === 0) return known
  const online = all.filter(isOnline)
  const [only] = online
  if (only === undefined) throw fleet.offline(known)
  if (online.length === 1) return only
  throw new AioError(
    'INVALID_INPUT',
    `There are ${online.length} orchestrators online (${online.map(({ name }) => name).join(', ')}), so say which one with orchestratorId. \`aio orchestrators\` lists them.`,
  )
}

function isOnline({ state }: Orchestrator): boolean {
  return state === 'online'
}

function ownerOf(fleet: FleetView, command: string, about: About): string | undefined {
  // Archives outlive their project.
  if (command === 'list_archives') return about.projectId === undefined ? undefined : fleet.ownerOf(about.projectId)
  // The session of these is not there yet.
  if ((command === 'create_session' || command === 'restore_session') && about.projectId !== undefined)
    return fleet.requireProject(about.projectId).orchestratorId
  if (about.sessionId !== undefined) return fleet.requireSession(about.sessionId).orchestratorId
  return about.projectId === undefined ? undefined : fleet.requireProject(about.projectId).orchestratorId
}

function agreeing(fleet: FleetView, owner: string, asked: string | undefined): string {
  if (asked === undefined || asked === owner) return owner
  throw new AioError(
    'INVALID_INPUT',
    `This belongs to the orchestrator "${fleet.requireOrchestrator(owner).name}", not to the one named. Leave orchestratorId out.`,
  )
}
