import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type Isolation } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { DEFAULT_SESSION_LIMITS, groupLimits } from './cgroups.ts'
import { type HostProcess, isAlive } from './host-process.ts'
import { type ExpectedIsolation, isolationError, missingIsolation } from './isolation.ts'
import { startContainer } from './launch.ts'
import { openDoor, openDoorAside } from './open-door.ts'
import { rootfsOf, unmountRoot } from './root-layer.ts'
import type { SessionRuntime } from './runtime.ts'
import type { Launch } from './services.ts'

/** Looks at a container that does not seem isolated before it is ended, and the time between them, in milliseconds. */
const ISOLATION_LOOKS = 5
const ISOLATION_LOOK_MS = 20

/**
 * Starts what a session runs, in a workspace that is mounted and a container that is described: container, proof of its
 * isolation, gateway. The session is `running` afterwards.
 *
 * @param begin starts the container.
 * @throws AioError ISOLATION_UNAVAILABLE, EXEC_ERROR, TIMEOUT; its steps are undone by whoever runs them.
 */
export async function startSession(
  runtime: SessionRuntime,
  id: string,
  launch: Launch,
  steps: Steps,
  begin: () => Promise<HostProcess> = async () => await startContainer(runtime, id, steps.signal),
): Promise<HostProcess> {
  const process = await steps.run('Container', begin, async () => await removeContainer(runtime, id))
  const proof = await steps.run('Isolation', async () => await proveIsolation(runtime, id, process))
  if (launch.gateway !== undefined && isAlive(process))
    await steps.run(
      'Gateway',
      async () => await openDoor(runtime, id, process),
      async () => await runtime.doors.detach(id),
    )
  await runtime.store.change(id, { session: { state: 'running', ...proof }, process, phase: 'ran' })
  if (launch.gateway === undefined && isAlive(process)) openDoorAside(runtime, id, process)
  return process
}

/** Ends a session's container and terminal and takes away all that is left of them. */
export async function removeContainer(runtime: SessionRuntime, id: string): Promise<void> {
  const name = containerIdOf(id)
  await runtime.containers.delete(name)
  await runtime.tmux.kill(name)
  await runtime.secretFiles.take(id)
  await unmountRoot(runtime, id)
  await rm(runtime.paths(id).run, { recursive: true, force: true })
}

/** What a session's container is to be. */
export function expectedIsolation(runtime: SessionRuntime, id: string): ExpectedIsolation {
  const name = containerIdOf(id)
  const { limits } = runtime.store.require(id).session
  return {
    limits: groupLimits(limits ?? DEFAULT_SESSION_LIMITS),
    uidBase: runtime.paths(id).uidBase,
    group: runtime.cgroupOf(name),
    isRootOwn: rootfsOf(runtime.paths(id).bundle) !== undefined,
    stateFile: runtime.containers.stateFile(name),
    idMap: runtime.containers.idMap(runtime.paths(id).uidBase),
  }
}

async function proveIsolation(
  runtime: SessionRuntime,
  id: string,
  process: HostProcess,
): Promise<{ isolation: Isolation; lacks: string[] | undefined }> {
  const missing = await findMissing(runtime, id, process)
  if (missing.length === 0) return { isolation: 'full', lacks: undefined }
  if (runtime.config.isolation === 'full') throw isolationError(missing)
  runtime.log.warn({ missing }, 'a session runs without full isolation, as the setting AIO_ISOLATION allows')
  return { isolation: 'degraded', lacks: missing }
}

/**
 * What has ended says nothing, and is told as a session that failed. What is just about to end has left its namespaces
 * already, so a process is looked at again before it is accused.
 */
async function findMissing(runtime: SessionRuntime, id: string, process: HostProcess): Promise<string[]> {
  for (let look = 1; ; look++) {
    const missing = missingIsolation(process.pid, expectedIsolation(runtime, id), runtime.cgroups)
    if (missing.length === 0 || !isAlive(process)) return []
    if (look === ISOLATION_LOOKS) return missing
    await sleep(ISOLATION_LOOK_MS)
  }
}
