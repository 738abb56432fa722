import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, type CommandInput, containerIdOf, type Session, sessionIdOf } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { run } from '../process/run.ts'
import type { ProjectRecord } from '../project/projects.ts'
import { DEFAULT_LIMITS } from './cgroups.ts'
import { makeHome } from './home.ts'
import { currentBootId, type HostProcess, isAlive } from './host-process.ts'
import { isolationError, missingIsolation } from './isolation.ts'
import { startContainer, writeConfig } from './launch.ts'
import { unmount } from './mounts.ts'
import { openDoor, openDoorAside } from './open-door.ts'
import { type SessionPaths, workspaceOf } from './paths.ts'
import type { SessionRuntime } from './runtime.ts'
import type { Launch } from './services.ts'
import { mountWorkspace, writeRefs, writeUpper } from './workspace.ts'
import { addWorktree, findStart, removeUnusedBranch, removeWorktree, type StartingPoint } from './worktree.ts'

/** Looks at a container that does not seem isolated before it is ended, and the time between them, in milliseconds. */
const ISOLATION_LOOKS = 5
const ISOLATION_LOOK_MS = 20

/**
 * Makes a session: worktree, base and home side by side, then the workspace, the container in its terminal, and the
 * proof of its isolation. Whatever fails, all of it is undone in reverse.
 *
 * @returns the session once its process runs; its state is read by the caller when that has already ended.
 * @throws AioError CONFLICT, NOT_FOUND, INVALID_INPUT, AGENT_NOT_READY before any step; ISOLATION_UNAVAILABLE,
 * EXEC_ERROR, TIMEOUT after its steps were undone by whoever runs them.
 */
export async function createSession(
  runtime: SessionRuntime,
  input: CommandInput<'create_session'>,
  steps: Steps,
): Promise<HostProcess> {
  const { projects, agents, config, store } = runtime
  const project = projects.require(input.projectId)
  const id = sessionIdOf(project.id, input.name)
  if (store.get(id) !== undefined)
    throw new AioError(
      'CONFLICT',
      `The session ${id} exists. Choose another name, or end it with: aio sessions terminate ${id}`,
    )
  const { agent, notice } = agents.choose(input.agent, project.agent)
  const launch = agents.launch(agent, {
    ...(input.prompt === undefined ? {} : { prompt: input.prompt }),
    workspace: workspaceOf(id),
    isolation: config.isolation,
  })
  const branch = `feature/${input.name}`
  const start = await findStart(runtime.repoOf(id), project, {
    branch,
    base: input.base,
    resumeBranch: input.resumeBranch,
  })
  const session = describeSession(runtime, { id, project, input, agent, notice, branch, start })
  const identity = project.git ?? runtime.identity
  const fill = async (paths: SessionPaths) => {
    await Promise.all([
      writeUpper(paths, { branch, commit: start.commit, identity, repoUrl: project.repoUrl }),
      makeHome(runtime.agents, agent, paths.home, workspaceOf(id)),
    ])
    const { bases } = projects.paths(project.id)
    await runtime.bases.require(projects.paths(project.id), start.commit, project.defaultBranch)
    await writeRefs(paths, join(bases, start.commit))
  }
  return await makeSession(runtime, { session, project, start, launch, fill }, steps)
}

/** All that a session is made from. */
export interface Plan {
  /** As it begins; what its workspace is layered on is its base. */
  session: Session
  project: ProjectRecord
  /** Where its branch begins. */
  start: StartingPoint
  launch: Launch
  /** Fills its own layer and its home; nothing of either exists yet. */
  fill: (paths: SessionPaths) => Promise<void>
  /** Done in its workspace before anything runs in it. */
  settle?: () => Promise<void>
}

/** Makes a session as planned, and starts it; see {@link createSession}. */
export async function makeSession(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<HostProcess> {
  await prepareSession(runtime, plan, steps)
  const { launch } = plan
  const { store } = runtime
  const { id } = plan.session
  const process = await steps.run(
    'Container',
    async () => await startContainer(runtime, id, steps.signal),
    async () => await removeContainer(runtime, id),
  )
  const isolation = await steps.run('Isolation', async () => await proveIsolation(runtime, process))
  if (launch.gateway !== undefined && isAlive(process))
    await steps.run(
      'Gateway',
      async () => await openDoor(runtime, id, process),
      async () => await runtime.doors.detach(id),
    )
  await store.change(id, { session: { state: 'running', isolation }, process })
  if (launch.gateway === undefined && isAlive(process)) openDoorAside(runtime, id, process)
  return process
}

/** Makes all of a session but what runs in it. */
export async function prepareSession(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<void> {
  const { session, project, start, launch } = plan
  const { id, branch } = session
  const { isOwnBranch } = start
  const { commit } = session.base
  const repo = runtime.repoOf(id)
  const paths = runtime.paths(id)
  // What was there before is nobody's to undo.
  const made = { bundle: false, worktree: false }
  const record = {
    session,
    phase: 'preparing' as const,
    isOwnBranch,
    bootId: currentBootId(),
    ...(launch.gateway === undefined ? {} : { gateway: launch.gateway }),
  }
  // First, so that whatever a crash leaves behind is known to be taken apart.
  await steps.run(
    'Record',
    async () => {
      await mkdir(paths.bundle, { mode: 0o711 })
      made.bundle = true
      await runtime.store.put(record)
    },
    async () => {
      if (!made.bundle) return
      await runtime.store.remove(id)
      await run('rm', ['-rf', '--one-file-system', '--', paths.bundle])
    },
  )
  await Promise.all([
    steps.run(
      'Worktree',
      async () => {
        await mkdir(paths.worktree, { mode: 0o700 })
        made.worktree = true
        await addWorktree(repo, paths.worktree, branch, start)
      },
      async () => {
        if (!made.worktree) return
        await removeWorktree(repo, paths.worktree)
        if (isOwnBranch) await removeUnusedBranch(repo, branch, start.commit)
      },
    ),
    steps.run('Base', async () => {
      await runtime.bases.require(runtime.projects.paths(project.id), commit, project.defaultBranch)
    }),
    steps.run('Home', async () => {
      await Promise.all([plan.fill(paths), writeConfig(runtime, id, launch)])
    }),
  ])
  await steps.run(
    'Workspace',
    async () => {
      await Promise.all([mountWorkspace(paths, commit), runtime.store.change(id, { phase: 'launched' })])
    },
    async () => await unmount(paths.worktree),
  )
  const { settle } = plan
  if (settle !== undefined) await steps.run('Settle', settle)
}

/** Ends a session's container and terminal and takes away all that is left of them. */
export async function removeContainer(runtime: SessionRuntime, id: string): Promise<void> {
  const name = containerIdOf(id)
  await runtime.runc.delete(name)
  await runtime.tmux.kill(name)
  await rm(runtime.paths(id).run, { recursive: true, force: true })
}

async function proveIsolation(runtime: SessionRuntime, process: HostProcess): Promise<'full' | 'degraded'> {
  const missing = await findMissing(runtime, process)
  if (missing.length === 0) return 'full'
  if (runtime.config.isolation === 'full') throw isolationError(missing)
  runtime.log.warn({ missing }, 'a session runs without full isolation, as the setting AIO_ISOLATION allows')
  return 'degraded'
}

/**
 * What has ended says nothing, and is told as a session that failed. What is just about to end has left its namespaces
 * already, so a process is looked at again before it is accused.
 */
async function findMissing(runtime: SessionRuntime, process: HostProcess): Promise<string[]> {
  for (let look = 1; ; look++) {
    const missing = missingIsolation(process.pid, DEFAULT_LIMITS, runtime.cgroups)
    if (missing.length === 0 || !isAlive(process)) return []
    if (look === ISOLATION_LOOKS) return missing
    await sleep(ISOLATION_LOOK_MS)
  }
}

function describeSession(
  runtime: SessionRuntime,
  facts: {
    id: string
    project: ProjectRecord
    input: CommandInput<'create_session'>
    agent: string
    notice: string | undefined
    branch: string
    start: StartingPoint
  },
): Session {
  const { id, project, input, agent, notice, branch, start } = facts
  const at = runtime.now().toISOString()
  return {
    id,
    projectId: project.id,
    name: input.name,
    ...(input.title === undefined ? {} : { title: input.title }),
    orchestratorId: runtime.orchestratorId,
    agent,
    branch,
    base: { ref: start.ref, commit: start.commit },
    headCommit: start.commit,
    state: 'starting',
    isolation: runtime.config.isolation,
    ...(notice === undefined ? {} : { notice }),
    createdAt: at,
    updatedAt: at,
  }
}
