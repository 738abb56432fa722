import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type CommandInput, type Session, sessionIdOf } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { run } from '../process/run.ts'
import type { ProjectRecord } from '../project/projects.ts'
import { DEFAULT_SESSION_LIMITS } from './cgroups.ts'
import type { ContainerPool } from './container-pool.ts'
import { makeHome } from './home.ts'
import { currentBootId, type HostProcess } from './host-process.ts'
import { writeConfig } from './launch.ts'
import { unmount } from './mounts.ts'
import { type SessionPaths, workspaceOf } from './paths.ts'
import { permissionsFor } from './permissions.ts'
import { refuseUnsafe } from './preflight.ts'
import { unmountRoot } from './root-layer.ts'
import type { SessionRuntime } from './runtime.ts'
import type { Launch } from './services.ts'
import { withLimits } from './session-limits.ts'
import { removeContainer, startSession } from './start.ts'
import { freeRange, UID_BASE } from './uid-range.ts'
import {
  beginInWaiting,
  discardWaiting,
  furnishWaiting,
  takeBundle,
  takeContainer,
  type Waiting,
} from './waiting-container.ts'
import { mountAll, mountWorkspace, unmountHome, writeLayers, writeRefs, writeUpper } from './workspace.ts'
import {
  findStart,
  makeBranch,
  registerWorktree,
  removeUnusedBranch,
  removeWorktree,
  type StartingPoint,
} from './worktree.ts'

/** Of why an optional setup failed. */
const NOTICE_MAX_CHARS = 1_000

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
  pool?: ContainerPool,
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
    interface: input.interface ?? 'terminal',
    permissions: permissionsFor(input.permissions, config.isolation),
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
    writeUpper(paths, { branch, commit: start.commit, identity, repoUrl: project.repoUrl })
    await makeHome(runtime.agents, agent, paths.home, {
      workspace: workspaceOf(id),
      permissions: permissionsFor(input.permissions, config.isolation),
    })
    const { bases } = projects.paths(project.id)
    await runtime.bases.require(projects.paths(project.id), start.commit, project.defaultBranch)
    await writeRefs(paths, join(bases, start.commit))
  }
  const layers = async () => {
    const paths = projects.paths(project.id)
    const { layer, problem } = await runtime.setups.require(paths, start.commit, project, steps)
    if (problem !== undefined) {
      const said = [session.notice, problem].filter((text) => text !== undefined).join(' ')
      await store.change(id, { session: { notice: said.slice(0, NOTICE_MAX_CHARS) } })
    }
    return layer === undefined ? [start.commit] : [`${layer}/upper`, start.commit]
  }
  const waiting = launch.chat === undefined ? await pool?.take(project.id) : undefined
  try {
    return await makeSession(runtime, { session, project, start, launch, layers, fill, waiting }, steps)
  } catch (error) {
    // What has not become the session's by then is nobody's.
    if (waiting !== undefined) await discardWaiting(runtime, waiting.id)
    throw error
  }
}

/** All that a session is made from. */
export interface Plan {
  /** As it begins; what its workspace is layered on is its base. */
  session: Session
  project: ProjectRecord
  /** Where its branch begins. */
  start: StartingPoint
  launch: Launch
  /** Makes ready what its own layer lies on, the base being there, and names it as {@link writeLayers} wants it. */
  layers: (steps: Steps) => Promise<string[]>
  /** Fills its own layer and its home; nothing of either exists yet. */
  fill: (paths: SessionPaths) => Promise<void>
  /** Done in its workspace before anything runs in it. */
  settle?: () => Promise<void>
  /** The container that waits for it; one is started when absent. */
  waiting?: Waiting | undefined
}

/** Makes a session as planned, and starts it; see {@link createSession}. */
export async function makeSession(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<HostProcess> {
  refuseUnsafe(runtime.refusals)
  const { waiting } = plan
  await prepare(runtime, plan, steps)
  if (waiting !== undefined) {
    // Whatever starts a process beside it would make the first act wait.
    const begin = async () => await beginInWaiting(runtime, waiting, plan.session.id)
    const process = await startSession(runtime, plan.session.id, plan.launch, steps, begin)
    await makeOwnBranch(runtime, plan, steps)
    return process
  }
  const [process] = await Promise.all([
    startSession(runtime, plan.session.id, plan.launch, steps),
    // Beside the container, because a process of git's own takes a while; commits that come home would make it as well.
    makeOwnBranch(runtime, plan, steps),
  ])
  return process
}

/** Makes all of a session but what runs in it. */
export async function prepareSession(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<void> {
  await prepare(runtime, plan, steps)
  await makeOwnBranch(runtime, plan, steps)
}

async function makeOwnBranch(runtime: SessionRuntime, { session, start }: Plan, steps: Steps): Promise<void> {
  const { commit, isOwnBranch } = start
  if (!isOwnBranch) return
  const repo = runtime.repoOf(session.id)
  await steps.run(
    'Branch',
    async () => await makeBranch(repo, session.branch, commit),
    async () => await removeUnusedBranch(repo, session.branch, commit),
  )
}

async function prepare(runtime: SessionRuntime, plan: Plan, steps: Steps): Promise<void> {
  const { session, project, launch, waiting } = plan
  const { id, branch } = session
  const { isOwnBranch } = plan.start
  const { commit } = session.base
  const repo = runtime.repoOf(id)
  // What was there before is nobody's to undo.
  const made = { bundle: false, worktree: false }
  const record = {
    session,
    phase: 'preparing' as const,
    isOwnBranch,
    bootId: currentBootId(),
    ...(launch.gateway === undefined ? {} : { gateway: launch.gateway }),
    ...(launch.chat === undefined ? {} : { chat: launch.chat }),
  }
  const { bundle } = runtime.paths(id)
  // First, so that whatever a crash leaves behind is known to be taken apart.
  await steps.run(
    'Record',
    async () => {
      await mkdir(bundle, { mode: 0o711 })
      made.bundle = true
      // Nothing may come between: two that begin at once would take the same range.
      if (waiting !== undefined) {
        const { uidBase, group } = waiting
        await takeBundle(runtime, waiting, id)
        await Promise.all([runtime.store.put({ ...record, uidBase, group }), takeContainer(runtime, waiting, id)])
        return
      }
      const taken = [...runtime.store.list().map(({ uidBase }) => uidBase), ...runtime.waitingRanges.values()]
      await runtime.store.put({ ...record, uidBase: runtime.hasOwnRanges ? freeRange(taken) : UID_BASE })
    },
    async () => {
      if (!made.bundle) return
      if (waiting !== undefined) await removeContainer(runtime, id)
      await runtime.store.remove(id)
      await run('rm', ['-rf', '--one-file-system', '--', bundle])
    },
  )
  // Only now is its range of user ids known.
  const paths = runtime.paths(id)
  await steps.run(
    'Worktree',
    async () => {
      await mkdir(paths.worktree, { mode: 0o700 })
      made.worktree = true
      await registerWorktree(repo, paths.worktree, branch)
    },
    async () => {
      if (made.worktree) await removeWorktree(repo, paths.worktree)
    },
  )
  await Promise.all([
    steps.run('Base', async () => {
      await runtime.bases.require(runtime.projects.paths(project.id), commit, project.defaultBranch)
      writeLayers(paths.bundle, await plan.layers(steps))
    }),
    steps.run(
      'Home',
      async () => {
        await Promise.all([plan.fill(paths), writeConfig(runtime, id, launch)])
      },
      async () => {
        await runtime.secretFiles.take(id)
        await unmountRoot(runtime, id)
      },
    ),
  ])
  await steps.run(
    'Workspace',
    async () => {
      const mount = async () => {
        if (waiting === undefined) return await mountAll(paths, commit)
        await mountWorkspace(paths, commit)
        await furnishWaiting(runtime, waiting, id, launch)
      }
      await Promise.all([mount(), runtime.store.change(id, { phase: 'launched' })])
    },
    async () => {
      await unmountHome(paths)
      await unmount(paths.worktree)
    },
  )
  const { settle } = plan
  if (settle !== undefined) await steps.run('Settle', settle)
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
    limits: withLimits(DEFAULT_SESSION_LIMITS, project.limits, input.limits),
    isolation: runtime.config.isolation,
    ...(input.interface === undefined ? {} : { interface: input.interface }),
    permissions: permissionsFor(input.permissions, runtime.config.isolation),
    ...(notice === undefined ? {} : { notice }),
    createdAt: at,
    updatedAt: at,
  }
}
