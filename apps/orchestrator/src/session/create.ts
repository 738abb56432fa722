import { mkdir, rm } from 'node:fs/promises'
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
import { workspaceOf } from './paths.ts'
import type { SessionRuntime } from './runtime.ts'
import type { Launch } from './services.ts'
import { mountWorkspace, writeUpper } from './workspace.ts'
import { addWorktree, findStart, removeUnusedBranch, removeWorktree, type StartingPoint } from './worktree.ts'

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
  await prepare(runtime, { session, project, start, launch }, steps)
  const process = await steps.run(
    'Container',
    async () => await startContainer(runtime, id, steps.signal),
    async () => await removeContainer(runtime, id),
  )
  const isolation = await steps.run('Isolation', async () => await proveIsolation(runtime, process))
  if (launch.gateway !== undefined && isAlive(process)) {
    const { gateway } = launch
    await steps.run(
      'Gateway',
      async () => await runtime.doors.attach(id, process.pid, gateway),
      async () => await runtime.doors.detach(id),
    )
  }
  await store.change(id, { session: { state: 'running', isolation }, process })
  return process
}

interface Plan {
  session: Session
  project: ProjectRecord
  start: StartingPoint
  launch: Launch
}

async function prepare(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<void> {
  const { session, project, start, launch } = plan
  const { id, branch } = session
  const { commit, isOwnBranch } = start
  const repo = runtime.repoOf(id)
  const paths = runtime.paths(id)
  const record = {
    session,
    phase: 'preparing' as const,
    isOwnBranch,
    bootId: currentBootId(),
    ...(launch.gateway === undefined ? {} : { gateway: launch.gateway }),
  }
  await Promise.all([
    steps.run(
      'Worktree',
      async () => await addWorktree(repo, paths.worktree, branch, start),
      async () => {
        await removeWorktree(repo, paths.worktree)
        if (isOwnBranch) await removeUnusedBranch(repo, branch, commit)
      },
    ),
    steps.run(
      'Base',
      async () => await runtime.bases.require(runtime.projects.paths(project.id), commit, project.defaultBranch),
    ),
    steps.run(
      'Home',
      async () => {
        await mkdir(paths.bundle, { mode: 0o711 })
        await Promise.all([
          runtime.store.put(record),
          writeUpper(paths, { branch, commit, identity: project.git ?? runtime.identity, repoUrl: project.repoUrl }),
          makeHome(runtime.agents, session.agent, paths.home, workspaceOf(id)),
          writeConfig(runtime, id, launch),
        ])
      },
      async () => {
        await runtime.store.remove(id)
        await run('rm', ['-rf', '--one-file-system', '--', paths.bundle])
      },
    ),
  ])
  await steps.run(
    'Workspace',
    async () => {
      await Promise.all([mountWorkspace(paths, commit), runtime.store.change(id, { phase: 'launched' })])
    },
    async () => await unmount(paths.worktree),
  )
}

/** Ends a session's container and terminal and takes away all that is left of them. */
export async function removeContainer(runtime: SessionRuntime, id: string): Promise<void> {
  const name = containerIdOf(id)
  await runtime.runc.delete(name)
  await runtime.tmux.kill(name)
  await rm(runtime.paths(id).run, { recursive: true, force: true })
}

async function proveIsolation(runtime: SessionRuntime, process: HostProcess): Promise<'full' | 'degraded'> {
  const missing = missingIsolation(process.pid, DEFAULT_LIMITS, runtime.cgroups)
  // What has ended meanwhile says nothing, and is told as a session that failed.
  if (!isAlive(process) || missing.length === 0) return 'full'
  if (runtime.config.isolation === 'full') throw isolationError(missing)
  runtime.log.warn({ missing }, 'a session runs without full isolation, as the setting AIO_ISOLATION allows')
  return 'degraded'
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
