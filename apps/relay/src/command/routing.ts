import { AioError } from '@ai-orchestration/protocol'
import type { Fleet } from '../fleet/fleet.ts'
import { type About, isBuiltIn } from './built-in.ts'

/**
 * Which orchestrator a command goes to: the one that owns its project or session, else the one named, else the only one.
 *
 * @throws AioError NOT_FOUND, ORCHESTRATOR_NOT_FOUND, ORCHESTRATOR_OFFLINE, INVALID_INPUT, CONFLICT, UNKNOWN_COMMAND
 */
export function route(
  fleet: Fleet,
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

function targetOf(fleet: Fleet, { command, about, orchestratorId, mayWait }: Parameters<typeof route>[1]): string {
  if (command === 'create_project') {
    const owner = about.projectId === undefined ? undefined : fleet.ownerOf(about.projectId)
    // Its owner knows better than we do whether this is a repeat of the command that made it.
    if (owner !== undefined && (orchestratorId ?? owner) === owner && fleet.isOnline(owner)) return owner
    if (owner !== undefined)
      throw new AioError(
        'CONFLICT',
        `There is already a project "${about.projectId}" on the orchestrator "${fleet.requireOrchestrator(owner).name}". Choose another name.`,
      )
  } else if (isBuiltIn(command)) {
    const owned = ownerOf(fleet, command, about)
    if (owned !== undefined) return agreeing(fleet, owned, orchestratorId)
  } else if (orchestratorId === undefined && about.projectId !== undefined) {
    // A custom command's fields are its own business; a projectId that is known still says where to go.
    const owner = fleet.ownerOf(about.projectId)
    if (owner !== undefined) return owner
  }
  if (orchestratorId !== undefined) return fleet.requireOrchestrator(orchestratorId).id
  const [only, ...others] = fleet.orchestrators()
  return mayWait && only !== undefined && others.length === 0 ? only.id : fleet.onlyOne().id
}

function ownerOf(fleet: Fleet, command: string, about: About): string | undefined {
  // Archives outlive their project.
  if (command === 'list_archives') return about.projectId === undefined ? undefined : fleet.ownerOf(about.projectId)
  // The session of these is not there yet.
  if ((command === 'create_session' || command === 'restore_session') && about.projectId !== undefined)
    return fleet.requireProject(about.projectId).orchestratorId
  if (about.sessionId !== undefined) return fleet.requireSession(about.sessionId).orchestratorId
  return about.projectId === undefined ? undefined : fleet.requireProject(about.projectId).orchestratorId
}

function agreeing(fleet: Fleet, owner: string, asked: string | undefined): string {
  if (asked === undefined || asked === owner) return owner
  throw new AioError(
    'INVALID_INPUT',
    `This belongs to the orchestrator "${fleet.requireOrchestrator(owner).name}", not to the one named. Leave orchestratorId out.`,
  )
}
