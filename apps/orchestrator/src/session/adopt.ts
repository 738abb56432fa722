import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, containerIdOf, parseSessionId, toAioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import type { TerminalState } from '../terminal/tmux.ts'
import type { Cgroups } from './cgroups.ts'
import { HELPER_PREFIX } from './helper.ts'
import { currentBootId, type HostProcess, isAlive, readOrUndefined } from './host-process.ts'
import { isolationError, missingIsolation } from './isolation.ts'
import { untilRunning } from './launch.ts'
import type { SessionLife } from './life.ts'
import { mountPoints, unmount } from './mounts.ts'
import { openDoor, openDoorAside } from './open-door.ts'
import { MAPPINGS } from './paths.ts'
import { readRecord, type SessionRecord } from './record.ts'
import type { SessionRuntime } from './runtime.ts'
import { expectedIsolation, removeContainer } from './start.ts'
import { REMOVED_PREFIX, removedId } from './terminate.ts'
import { isWaiting, waitedAs } from './waiting-container.ts'
import { removeUnusedBranch, removeWorktree } from './worktree.ts'

/** Longest a killed process may take to end, in milliseconds. */
const CLEAR_MS = 5_000

/**
 * Brings what the records say in line with what is there after a crash, an upgrade or a reboot: sessions that live are
 * taken over as they are, dead ones are marked with the reason, and one that never came to run anything is taken apart.
 * No workspace that something ran in is ever deleted here (D-3).
 */
export async function adoptSessions(runtime: SessionRuntime, life: SessionLife): Promise<void> {
  for (const { id } of runtime.projects.list()) await loadProject(runtime, id)
  const [containers, terminals] = await Promise.all([runtime.containers.list(), runtime.tmux.list()])
  const names = new Set(containers.map(({ id }) => id))
  await runtime.archives.removeUnfinished()
  for (const record of runtime.store.list()) {
    const { id } = record.session
    try {
      await adopt(runtime, life, record, { names, terminals })
    } catch (error) {
      runtime.log.error({ session: id, err: error }, 'a session could not be taken over')
      await runtime.store.change(id, {
        session: { notice: `It could not be fully taken over after a restart: ${toAioError(error).message}` },
      })
    }
  }
  for (const name of names) await removeOrphan(runtime, name)
  await clearAway(runtime)
}

interface Found {
  names: ReadonlySet<string>
  terminals: readonly TerminalState[]
}

async function adopt(runtime: SessionRuntime, life: SessionLife, record: SessionRecord, found: Found): Promise<void> {
  const { id, state } = record.session
  const name = containerIdOf(id)
  if (state === 'stopped' || state === 'failed') {
    // Its control group was kept to see why it ended; that is recorded.
    if (found.names.has(name)) await runtime.containers.delete(name)
    return
  }
  const isUntouched = record.group !== undefined && isWaiting(runtime.paths(id))
  if (state === 'starting' && (isUntouched || hasRunNothing(runtime, record, found)))
    return await takeApart(runtime, record)
  const hasTerminal = found.terminals.some((terminal) => terminal.name === name && !terminal.isDead)
  const process = await findProcess(runtime, record, hasTerminal)
  if (process === undefined) return await life.end(id)
  if (!hasTerminal) return await life.end(id, 'tmux_gone')
  if (state === 'starting') {
    const missing = missingIsolation(process.pid, expectedIsolation(runtime, id), runtime.cgroups)
    if (missing.length > 0 && runtime.config.isolation === 'full') {
      await life.end(id, 'killed')
      throw isolationError(missing)
    }
    await runtime.store.change(id, { session: { state: 'running' }, process, phase: 'ran' })
  }
  // Held still for a copy, or cut off between the freeze and its record: the record counts.
  runtime.cgroups.setFrozen(runtime.cgroupOf(name), state === 'paused')
  life.watch(id)
  runtime.log.info({ session: id, pid: process.pid }, 'session taken over')
  if (record.gateway === undefined) openDoorAside(runtime, id, process)
  else await openDoor(runtime, id, process)
}

/** True when a creation was cut off before its container was started: after a reboot one cannot know. */
function hasRunNothing(runtime: SessionRuntime, { session, phase, bootId }: SessionRecord, found: Found): boolean {
  if (phase === 'preparing') return true
  if (phase === 'ran') return false
  const name = containerIdOf(session.id)
  const hasTrace =
    found.names.has(name) ||
    found.terminals.some((terminal) => terminal.name === name) ||
    readOrUndefined(runtime.paths(session.id).pidFile) !== undefined
  return bootId === currentBootId() && !hasTrace
}

async function findProcess(
  runtime: SessionRuntime,
  record: SessionRecord,
  hasTerminal: boolean,
): Promise<HostProcess | undefined> {
  const { process, bootId, session } = record
  if (bootId !== currentBootId()) return undefined
  const found = process ?? (hasTerminal ? await untilRunning(runtime, session.id) : undefined)
  return found !== undefined && isAlive(found) ? found : undefined
}

/** Mapped mounts that were cut off in the making, and control groups without a container. */
async function clearAway(runtime: SessionRuntime): Promise<void> {
  const { cgroups, cgroupOf, config, containers, log } = runtime
  const mappings = join(config.aioRun, MAPPINGS)
  for (const path of mountPoints().toReversed()) if (path.startsWith(`${mappings}/`)) await unmount(path)
  const known = new Set((await containers.list()).map(({ id }) => cgroupOf(id)))
  for (const group of cgroups.list(cgroupOf('').slice(1)).filter((name) => !known.has(name))) {
    try {
      await removeGroup(cgroups, group)
      log.warn({ group }, 'a control group without a container was removed')
    } catch (error) {
      // Nothing else depends on it, and the next start tries again.
      log.error({ group, err: error }, 'a control group without a container could not be removed')
    }
  }
}

/** Ends what still runs in a group, since nobody could steer it, and removes it. */
async function removeGroup(cgroups: Cgroups, group: string): Promise<void> {
  const deadline = performance.now() + CLEAR_MS
  for (const pid of cgroups.pidsOf(group)) killIfThere(pid)
  if (cgroups.isFrozen(group)) cgroups.setFrozen(group, false)
  while (cgroups.pidsOf(group).length > 0 && performance.now() < deadline) await sleep(10)
  cgroups.remove(group)
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Undoes a creation that was cut off before anything ran. */
async function takeApart(runtime: SessionRuntime, { session, isOwnBranch }: SessionRecord): Promise<void> {
  const paths = runtime.paths(session.id)
  const repo = runtime.repoOf(session.id)
  await removeContainer(runtime, session.id)
  await unmount(paths.worktree)
  await runtime.store.remove(session.id)
  await removeWorktree(repo, paths.worktree)
  if (isOwnBranch) await removeUnusedBranch(repo, session.branch, session.headCommit ?? session.base.commit)
  await run('rm', ['-rf', '--one-file-system', '--', paths.bundle])
  runtime.log.warn({ session: session.id }, 'the creation of a session was cut off before anything ran in it; undone')
}

async function loadProject(runtime: SessionRuntime, projectId: string): Promise<void> {
  const { bundles, bases } = runtime.projects.paths(projectId)
  for (const name of await namesIn(bundles)) {
    if (name.startsWith(REMOVED_PREFIX)) await finishRemoval(runtime, join(bundles, name))
    else if (parseSessionId(name)?.projectId === projectId) await loadSession(runtime, join(bundles, name), name)
  }
  for (const name of await namesIn(bases)) {
    if (!/^\.(building|removed)-/.test(name)) continue
    // A setup that was cut off has its overlay there.
    await unmount(join(bases, name, 'merged'))
    await removeTree(join(bases, name))
  }
}

async function loadSession(runtime: SessionRuntime, bundle: string, id: string): Promise<void> {
  // Cut off before its first record was written: nothing else is made before that.
  const waited = waitedAs(bundle)
  if (waited !== undefined && !(await namesIn(bundle)).includes('session.json')) {
    for (const container of new Set([waited, id])) await removeContainer(runtime, container)
    return await removeTree(bundle)
  }
  if ((await namesIn(bundle)).every((name) => name.endsWith('.tmp'))) return await removeTree(bundle)
  try {
    const record = await readRecord(join(bundle, 'session.json'))
    if (record.session.id !== id) throw new AioError('INVALID_INPUT', `The record is about ${record.session.id}.`)
    runtime.store.load(record)
  } catch (error) {
    const why = toAioError(error).message
    runtime.log.error({ session: id }, `a session cannot be listed; its files are left alone: ${why}`)
  }
}

/** A removal that was asked for, made safe and recorded as done, and then cut off while it cleared away. */
async function finishRemoval(runtime: SessionRuntime, bundle: string): Promise<void> {
  const id = removedId(bundle)
  if (id !== undefined && !(await namesIn(join(bundle, '..'))).includes(id)) {
    const { worktree } = runtime.paths(id)
    await unmount(worktree)
    await removeWorktree(runtime.repoOf(id), worktree)
  }
  await removeTree(bundle)
}

async function removeTree(path: string): Promise<void> {
  await run('rm', ['-rf', '--one-file-system', '--', path])
}

/** Helpers of an earlier orchestrator, and containers of sessions that do not exist. */
async function removeOrphan(runtime: SessionRuntime, name: string): Promise<void> {
  if (name.startsWith(HELPER_PREFIX)) return await runtime.containers.delete(name)
  const id = name.replace(/^claude-/, '')
  const projectId = parseSessionId(id)?.projectId
  if (projectId === undefined || runtime.store.get(id) !== undefined) return
  const { bundles } = runtime.projects.paths(projectId)
  // A record that cannot be read may belong to it.
  if ((await namesIn(bundles)).includes(id)) return
  await removeContainer(runtime, id)
  runtime.log.warn({ container: name }, 'a container without a session was removed')
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
