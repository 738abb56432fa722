import { AioError, type CommandInput, sessionIdOf } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { makeSession } from './create.ts'
import { describeFailure, type HomeComing } from './home-coming.ts'
import { type HostProcess, isAlive } from './host-process.ts'
import { type SessionPaths, workspaceOf } from './paths.ts'
import { freezeSession, thawSession } from './pause.ts'
import { permissionsAgain } from './permissions.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'
import { settleCopy } from './settle-copy.ts'
import { layersOf } from './workspace.ts'
import { findFreeBranch } from './worktree.ts'

/**
 * Makes a session that begins where another one stands now: a copy of its layer and home, a branch of its own, and an
 * agent of its own that is started anew. One that runs is held still while it is copied.
 *
 * @throws AioError NOT_FOUND; CONFLICT when the name is taken; those of a creation.
 */
export async function forkSession(
  runtime: SessionRuntime,
  homeComing: HomeComing,
  input: CommandInput<'fork_session'>,
  steps: Steps,
): Promise<HostProcess> {
  const { projects, agents, config, store } = runtime
  const source = store.require(input.sessionId).session
  const project = projects.require(projectOf(source.id))
  const id = sessionIdOf(project.id, input.name)
  if (store.get(id) !== undefined)
    throw new AioError('CONFLICT', `The session ${id} exists. Choose another name for the fork.`)
  const branch = `feature/${input.name}`
  await homeComing.bring(source.id).catch((error: unknown) => {
    // The layer has them all the same.
    runtime.log.warn({ session: source.id }, describeFailure(error))
  })
  const { headCommit = source.base.commit, notice } = store.require(source.id).session
  const start = await findFreeBranch(runtime.repoOf(id), branch, { ref: source.branch, commit: headCommit })
  const permissions = permissionsAgain(undefined, source, config.isolation)
  const launch = agents.launch(source.agent, {
    ...(input.prompt === undefined ? {} : { prompt: input.prompt }),
    workspace: workspaceOf(id),
    interface: source.interface ?? 'terminal',
    permissions,
  })
  const at = runtime.now().toISOString()
  const { exit: _exit, pause: _pause, reached: _reached, title: _title, restoredFrom: _restoredFrom, ...kept } = source
  const session = {
    ...kept,
    id,
    name: input.name,
    ...(input.title === undefined ? {} : { title: input.title }),
    ...(notice === undefined ? {} : { notice }),
    branch,
    headCommit,
    state: 'starting' as const,
    isolation: config.isolation,
    permissions,
    attention: undefined,
    forkedFrom: source.id,
    createdAt: at,
    updatedAt: at,
  }
  const fill = async (paths: SessionPaths) =>
    await heldStill(runtime, source.id, async () => await copyLayer(runtime.paths(source.id), paths))
  const layers = async () => layersOf(runtime.paths(source.id).bundle) ?? [source.base.commit]
  const settle = async () => await settleCopy(runtime, id, { branch: source.branch })
  return await makeSession(runtime, { session, project, start, launch, layers, fill, settle }, steps)
}

/** Freezes a session that runs, so that its layer can be read as of one moment and nobody can swap names under us. */
async function heldStill(runtime: SessionRuntime, id: string, action: () => Promise<void>): Promise<void> {
  const { session, process } = runtime.store.require(id)
  if (session.state !== 'running' || process === undefined || !isAlive(process)) return await action()
  await freezeSession(runtime, id)
  try {
    await action()
  } finally {
    // Unless somebody has paused it meanwhile.
    if (runtime.store.get(id)?.session.state === 'running') thawSession(runtime, id)
  }
}

/** With the marks of deleted files and replaced directories; a copy on write where the file system can do that. */
async function copyLayer(from: SessionPaths, to: SessionPaths): Promise<void> {
  await run('mkdir', ['--mode=700', '--', to.work])
  await run('cp', ['-a', '--reflink=auto', '--', from.upper, to.upper])
  await run('cp', ['-a', '--reflink=auto', '--', from.home, to.home])
}
