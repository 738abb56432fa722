import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, containerIdOf, parseSessionId } from '@ai-orchestration/protocol'
import { makePipe, onPipe, pipePaths, withPipe } from '../chat/pipe-files.ts'
import { DOOR_ENVIRONMENT } from '../door/environment.ts'
import { agentsBinds, projectBinds } from './binds.ts'
import { DEFAULT_SESSION_LIMITS, groupLimits } from './cgroups.ts'
import { containerConfig } from './container.ts'
import type { HostProcess } from './host-process.ts'
import { type SessionPaths, workspaceOf } from './paths.ts'
import { prepareRoot } from './root-layer.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'
import { withSecrets } from './secret-files.ts'
import type { Launch } from './services.ts'
import { UID_BASE } from './uid-range.ts'
import { mountHome, unmountHome } from './workspace.ts'

/** Between two looks for the container's process, in milliseconds; a look reads one small file. */
const LOOK_MS = 2
/** Between two questions to tmux whether the runtime has given up, in milliseconds. */
const ASK_MS = 250
/** Longest a container may take to start, in milliseconds; normally it takes 60. */
const START_DEADLINE_MS = 30_000

/** Writes what the runtime reads: the bundle's `config.json`. No secret is in it (I-4). */
export async function writeConfig(runtime: SessionRuntime, id: string, launch: Launch): Promise<void> {
  const { seccomp, cgroups, agents } = runtime
  const rootfs = await prepareRoot(runtime, id)
  const paths = runtime.paths(id)
  const { worktree, bundle, uidBase } = paths
  const { limits } = runtime.store.require(id).session
  const project = runtime.projects.require(projectOf(id))
  const secrets = await runtime.projects.secretValues(project.id)
  if (secrets.size > 0) await runtime.secretFiles.give(id, secrets, uidBase)
  const argv = launch.chat === undefined ? launch.argv : onPipe(launch.argv)
  const config = containerConfig({
    hostname: parseSessionId(id)?.name ?? id,
    argv: secrets.size > 0 ? withSecrets(argv) : argv,
    cwd: workspaceOf(id),
    // The agent's own come last: they lead it through its door.
    env: { ...project.env, ...DOOR_ENVIRONMENT, ...launch.env },
    hasTerminal: launch.chat === undefined,
    rootfs: rootfs.path,
    isRootWritable: rootfs.isWritable,
    binds: [
      ...rootfs.binds,
      ...projectBinds(id, { worktree, repo: runtime.repoOf(id) }, true),
      { source: homeOf(paths), destination: '/home/agent', isWritable: true },
      ...(await agentsBinds(agents)),
      ...(secrets.size > 0 ? [runtime.secretFiles.bind(id)] : []),
    ],
    limits: groupLimits(limits ?? DEFAULT_SESSION_LIMITS),
    uidBase,
    canLimitSwap: cgroups.canLimitSwap,
    cgroup: runtime.cgroupOf(containerIdOf(id)),
    seccomp,
  })
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 })
}

/** Where a session's container finds its home: mapped to the session's own range, if it has one. */
function homeOf({ home, mappedHome, uidBase }: SessionPaths): string {
  return uidBase === UID_BASE ? home : mappedHome
}

/**
 * Starts the container in a terminal of its own and waits until its first process runs.
 *
 * @returns that process; one whose `startTime` is empty has already ended.
 * @throws AioError EXEC_ERROR with the runtime's own words when it does not start.
 */
export async function startContainer(runtime: SessionRuntime, id: string, signal: AbortSignal): Promise<HostProcess> {
  const { containers, tmux } = runtime
  const paths = runtime.paths(id)
  const { run, bundle, pidFile, terminalLog } = paths
  const name = containerIdOf(id)
  await mkdir(run, { recursive: true, mode: 0o711 })
  await rm(pidFile, { force: true })
  const isChat = runtime.store.require(id).chat !== undefined
  const files = pipePaths(bundle)
  if (isChat) await makePipe(files)
  const runArgv = await containers.runArgv(name, bundle, { pidFile, isKept: true, preservedFds: isChat ? 2 : 0 })
  const argv = isChat ? withPipe(files, runArgv) : runArgv
  await mountHome(paths)
  try {
    await tmux.newSession({ name, argv, cols: 120, rows: 32, logFile: terminalLog })
    return await untilRunning(runtime, id, signal)
  } finally {
    await unmountHome(paths)
  }
}

/** Waits until the first process of a container that is being started runs; see {@link startContainer}. */
export async function untilRunning(runtime: SessionRuntime, id: string, signal?: AbortSignal): Promise<HostProcess> {
  const { pidFile } = runtime.paths(id)
  const name = containerIdOf(id)
  const deadline = performance.now() + START_DEADLINE_MS
  let askAt = performance.now() + ASK_MS
  for (;;) {
    const started = runtime.containers.started(name, pidFile)
    if (started !== undefined) return started
    signal?.throwIfAborted()
    if (performance.now() > deadline)
      throw new AioError('TIMEOUT', `The container did not start within ${START_DEADLINE_MS / 1_000} s.`)
    if (performance.now() > askAt) {
      await assertStarting(runtime, name)
      askAt = performance.now() + ASK_MS
    }
    await sleep(LOOK_MS)
  }
}

/** The runtime says what is wrong on the terminal; there is no pid file when it gave up. */
async function assertStarting({ tmux }: SessionRuntime, name: string): Promise<void> {
  const terminal = (await tmux.list()).find((state) => state.name === name)
  if (terminal !== undefined && !terminal.isDead) return
  const said = terminal === undefined ? 'its terminal is gone' : (await tmux.capture(name)).trim().slice(-500)
  throw new AioError('EXEC_ERROR', `The container could not be started: ${said}`)
}
