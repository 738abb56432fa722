import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, containerIdOf, parseSessionId, sessionIdOf } from '@ai-orchestration/protocol'
import { DOOR_ENVIRONMENT } from '../door/environment.ts'
import { run } from '../process/run.ts'
import { agentsBinds, objectsBind } from './binds.ts'
import { DEFAULT_SESSION_LIMITS, groupLimits } from './cgroups.ts'
import { containerConfig } from './container.ts'
import { type HostProcess, isAlive, readOrUndefined } from './host-process.ts'
import { isolationError, missingIsolation } from './isolation.ts'
import { untilRunning } from './launch.ts'
import { mountInside } from './mapped-mounts.ts'
import type { SessionPaths } from './paths.ts'
import { workspaceOf } from './paths.ts'
import { prepareRoot, rootfsOf, unmountRoot } from './root-layer.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'
import { withSecrets } from './secret-files.ts'
import type { Launch } from './services.ts'
import { withLimits } from './session-limits.ts'
import { removeContainer } from './start.ts'
import { AGENT_HOST_UID, AGENT_UID, freeRange, UID_BASE } from './uid-range.ts'
import { mountHome, unmountHome } from './workspace.ts'

/** In a bundle that began as a waiting container's: the id it waited under. */
const WAITING_FILE = 'waiting'
/** In such a bundle, and inside: what the container waits for, and what it then does. */
const START = 'start'
const START_INSIDE = '/project/.start'
/** Waits for a line in the FIFO, then becomes what the script says; ends when the FIFO is gone. */
const WAITER = `while [ -p ${START_INSIDE}/go ]; do read -r go <${START_INSIDE}/go && break; done
unset go; . ${START_INSIDE}/script`

/** Longest until a container that runs waits, in milliseconds, and the time between two looks. */
const READY_MS = 10_000
const READY_LOOK_MS = 20

/** A container that runs, isolated, and has nothing of a session in it. */
export interface Waiting {
  /** Shaped like a session's, so that its parts lie where a session's do. */
  id: string
  /** What it was made from; one that was made from something else is of no use. */
  key: string
  uidBase: number
  group: string
  process: HostProcess
}

/** All that a container of this project is made from, as one text, apart from what a session adds later. */
export async function waitingKey(runtime: SessionRuntime, projectId: string): Promise<string> {
  const { env, limits } = runtime.projects.require(projectId)
  const { current } = runtime.rootfs
  const secrets = await runtime.projects.secretValues(projectId)
  const { agentsDir, programsDir } = runtime.agents
  return JSON.stringify([env, limits, current.source, current.path, agentsDir, programsDir, secrets.size > 0])
}

/**
 * Starts a container that waits for a session, and proves its isolation.
 *
 * @throws AioError ISOLATION_UNAVAILABLE, EXEC_ERROR, TIMEOUT; nothing of it is left then.
 */
export async function startWaiting(runtime: SessionRuntime, projectId: string, signal: AbortSignal): Promise<Waiting> {
  const id = sessionIdOf(projectId, `pool-${randomBytes(6).toString('hex')}`)
  const taken = [...runtime.store.list().map(({ uidBase }) => uidBase), ...runtime.waitingRanges.values()]
  const uidBase = runtime.hasOwnRanges ? freeRange(taken) : UID_BASE
  runtime.waitingRanges.set(id, uidBase)
  try {
    const key = await waitingKey(runtime, projectId)
    await prepareWaiting(runtime, id, uidBase)
    const paths = runtime.paths(id)
    const name = containerIdOf(id)
    const argv = await runtime.containers.runArgv(name, paths.bundle, { pidFile: paths.pidFile, isKept: true })
    await mountHome(paths)
    let process: HostProcess
    try {
      await runtime.tmux.newSession({ name, argv, cols: 120, rows: 32, logFile: paths.terminalLog })
      process = await untilRunning(runtime, id, signal)
    } finally {
      await unmountHome(paths)
      // The container keeps it, and the place is not its session's.
      await unmountRoot(runtime, id)
    }
    await untilWaiting(paths, process, signal)
    const group = runtime.cgroupOf(name)
    const missing = missingIsolation(
      process.pid,
      {
        limits: groupLimits(limitsOf(runtime, projectId)),
        uidBase,
        group,
        isRootOwn: rootfsOf(paths.bundle) !== undefined,
        stateFile: runtime.containers.stateFile(name),
        idMap: runtime.containers.idMap(uidBase),
      },
      runtime.cgroups,
    )
    if (missing.length > 0) throw isolationError(missing)
    return { id, key, uidBase, group, process }
  } catch (error) {
    await discardWaiting(runtime, id)
    throw error
  }
}

/** Ends a waiting container and takes away all that is left of it. */
export async function discardWaiting(runtime: SessionRuntime, id: string): Promise<void> {
  await removeContainer(runtime, id)
  await run('rm', ['-rf', '--one-file-system', '--', runtime.paths(id).bundle])
  runtime.waitingRanges.delete(id)
}

/** The id under which the container of this bundle waited, when nothing but that has become of it. */
export function waitedAs(bundle: string): string | undefined {
  return readOrUndefined(join(bundle, WAITING_FILE))?.trim()
}

/** Tells whether a container still waits: nothing of a session has run in it then. */
export function isWaiting(paths: SessionPaths): boolean {
  const go = openWaiting(paths)
  if (go !== undefined) closeSync(go)
  return go !== undefined
}

/** Makes a waiting container's bundle the one of a session, whose directory is there and empty. */
export async function takeBundle(runtime: SessionRuntime, waiting: Waiting, id: string): Promise<void> {
  await rename(runtime.paths(waiting.id).bundle, runtime.paths(id).bundle)
  runtime.waitingRanges.delete(waiting.id)
}

/** Makes all else of it the session's: terminal, container, and the place of its secrets. */
export async function takeContainer(runtime: SessionRuntime, waiting: Waiting, id: string): Promise<void> {
  const { containers, tmux, rootfs } = runtime
  const [from, to] = [containerIdOf(waiting.id), containerIdOf(id)]
  const paths = runtime.paths(id)
  const stateFile = containers.stateFile(from)
  if (stateFile === undefined || containers.rename === undefined)
    throw new AioError('ISOLATION_UNAVAILABLE', 'Only containers of runc can wait for a session.')
  const state = readFileSync(stateFile, 'utf8')
  const named = [
    // `runc exec` finds environment and user in the bundle, and starts in the root filesystem's place.
    [`bundle=${join(paths.bundle, '..', waiting.id)}`, `bundle=${paths.bundle}`],
    ...(rootfsOf(paths.bundle) === undefined ? [] : [[rootfs.placeOf(waiting.id), rootfs.placeOf(id)]]),
  ].map((pair) => pair.map((text) => JSON.stringify(text)))
  if (!named.every(([before = '']) => state.includes(before)))
    throw new AioError('EXEC_ERROR', "The runtime's record of a waiting container is not as expected.")
  // The container has the root itself; only the place has to be there.
  if (named.length > 1) mkdirSync(rootfs.placeOf(id), { recursive: true, mode: 0o755 })
  const corrected = named.reduce((text, [before = '', after = '']) => text.replaceAll(before, after), state)
  writeFileSync(`${stateFile}.new`, corrected, { mode: 0o600 })
  renameSync(`${stateFile}.new`, stateFile)
  mkdirSync(paths.run, { recursive: true, mode: 0o711 })
  writeFileSync(paths.pidFile, String(waiting.process.pid))
  await runtime.secretFiles.rename(waiting.id, id)
  await tmux.rename(from, to)
  await containers.rename(from, to)
  await rm(runtime.paths(waiting.id).run, { recursive: true, force: true })
}

/**
 * Puts into a waiting container what its session is: the workspace, which is mounted, its name and limits, and what is to
 * run.
 *
 * @throws AioError ISOLATION_UNAVAILABLE when the workspace cannot be mounted inside.
 */
export async function furnishWaiting(
  runtime: SessionRuntime,
  { process, uidBase, group }: Waiting,
  id: string,
  launch: Launch,
): Promise<void> {
  const paths = runtime.paths(id)
  const { limits } = runtime.store.require(id).session
  const argv = runtime.secretFiles.has(id) ? withSecrets(launch.argv) : launch.argv
  const script = join(paths.bundle, START, 'script')
  writeFileSync(script, scriptOf(workspaceOf(id), launch.env, argv), { mode: 0o400, flag: 'wx' })
  chownSync(script, uidBase + AGENT_UID, uidBase + AGENT_UID)
  runtime.cgroups.setLimits(group, groupLimits(limits ?? DEFAULT_SESSION_LIMITS))
  await mountInside({
    pid: process.pid,
    source: paths.worktree,
    target: workspaceOf(id),
    uid: uidBase,
    hostname: parseSessionId(id)?.name ?? id,
  })
}

/**
 * Lets a session begin in the container that has waited for it and was furnished.
 *
 * @throws AioError EXEC_ERROR when the container does not wait any more.
 */
export async function beginInWaiting(runtime: SessionRuntime, { process }: Waiting, id: string): Promise<HostProcess> {
  const go = openWaiting(runtime.paths(id))
  if (go === undefined) throw new AioError('EXEC_ERROR', 'The container that waited for the session has ended.')
  writeSync(go, 'go\n')
  closeSync(go)
  return process
}

/** The end of the FIFO that lets a container begin; `undefined` when nobody has opened the other end. */
function openWaiting({ bundle }: SessionPaths): number | undefined {
  try {
    return openSync(join(bundle, START, 'go'), constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENXIO' || error.code === 'ENOENT'))
      return undefined
    throw error
  }
}

async function prepareWaiting(runtime: SessionRuntime, id: string, uidBase: number): Promise<void> {
  const paths = runtime.paths(id)
  const { bundle, home } = paths
  const projectId = projectOf(id)
  const project = runtime.projects.require(projectId)
  await mkdir(bundle, { mode: 0o711 })
  await writeFile(join(bundle, WAITING_FILE), `${id}\n`, { mode: 0o600 })
  const start = join(bundle, START)
  for (const directory of [home, start]) await mkdir(directory, { mode: 0o700 })
  await chown(home, AGENT_HOST_UID, AGENT_HOST_UID)
  await run('mkfifo', ['--mode', '0400', join(start, 'go')])
  for (const path of [join(start, 'go'), start]) await chown(path, uidBase + AGENT_UID, uidBase + AGENT_UID)
  const hasSecrets = (await runtime.projects.secretValues(projectId)).size > 0
  if (hasSecrets) await runtime.secretFiles.give(id, new Map(), uidBase)
  const root = await prepareRoot(runtime, id)
  await mkdir(paths.run, { recursive: true, mode: 0o711 })
  const config = containerConfig({
    hostname: 'waiting',
    argv: ['/bin/sh', '-c', WAITER],
    cwd: '/',
    env: { ...project.env, ...DOOR_ENVIRONMENT },
    hasTerminal: true,
    rootfs: root.path,
    isRootWritable: root.isWritable,
    binds: [
      ...root.binds,
      objectsBind(runtime.repoOf(id)),
      { source: start, destination: START_INSIDE, isWritable: false },
      { source: uidBase === UID_BASE ? home : paths.mappedHome, destination: '/home/agent', isWritable: true },
      ...(await agentsBinds(runtime.agents)),
      ...(hasSecrets ? [runtime.secretFiles.bind(id)] : []),
    ],
    limits: groupLimits(limitsOf(runtime, projectId)),
    uidBase,
    canLimitSwap: runtime.cgroups.canLimitSwap,
    cgroup: runtime.cgroupOf(containerIdOf(id)),
    seccomp: runtime.seccomp,
  })
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 })
}

function limitsOf(runtime: SessionRuntime, projectId: string) {
  return withLimits(DEFAULT_SESSION_LIMITS, runtime.projects.require(projectId).limits)
}

async function untilWaiting(paths: SessionPaths, process: HostProcess, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_MS
  while (!isWaiting(paths)) {
    signal.throwIfAborted()
    if (!isAlive(process) || performance.now() > deadline)
      throw new AioError('EXEC_ERROR', 'A container that was to wait for a session has ended, or does not wait.')
    await sleep(READY_LOOK_MS)
  }
}

/** A shell that reads this becomes the program; nothing means anything between single quotes. */
function scriptOf(cwd: string, env: Readonly<Record<string, string>>, argv: readonly string[]): string {
  const variables = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}\n`)
  return `cd ${quoted(cwd)} || exit 1\nunset PWD OLDPWD\n${variables.join('')}exec ${argv.map(quoted).join(' ')}\n`
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
