import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, containerIdOf, type SessionPause } from '@ai-orchestration/protocol'
import type { SessionRuntime } from './runtime.ts'

/** Longest until every process of a session stands still, in milliseconds; one that is stuck in the kernel keeps it from it. */
const FREEZE_DEADLINE_MS = 5_000

/**
 * Freezes every process of a session; they go on where they were when they are let. What reads the workspace from
 * outside, such as status and archive, works meanwhile.
 *
 * @throws AioError EXEC_ERROR when they do not stand still; the session then goes on.
 */
export async function pauseSession(
  runtime: SessionRuntime,
  id: string,
  reason: SessionPause['reason'],
  notice?: string,
): Promise<void> {
  await freezeSession(runtime, id)
  const pause = { reason, at: runtime.now().toISOString() }
  await runtime.store.change(id, { session: { state: 'paused', pause, ...(notice === undefined ? {} : { notice }) } })
}

/** Lets a paused session go on. */
export async function resumeSession(runtime: SessionRuntime, id: string): Promise<void> {
  const { pause } = runtime.store.require(id).session
  thawSession(runtime, id)
  await runtime.store.change(id, {
    session: { state: 'running', ...(pause?.reason === 'disk' ? { notice: undefined } : {}) },
  })
}

/** Makes every process of a session stand still. @throws AioError EXEC_ERROR when they do not; the session then goes on. */
export async function freezeSession({ cgroups, cgroupOf }: SessionRuntime, id: string): Promise<void> {
  const group = cgroupOf(containerIdOf(id))
  cgroups.setFrozen(group, true)
  const deadline = performance.now() + FREEZE_DEADLINE_MS
  while (!cgroups.isFrozen(group)) {
    if (performance.now() > deadline) {
      cgroups.setFrozen(group, false)
      throw new AioError(
        'EXEC_ERROR',
        `The session ${id} could not be paused: a process in it did not stop within ${FREEZE_DEADLINE_MS / 1_000} s. It goes on.`,
      )
    }
    await sleep(10)
  }
}

/** Lets the processes of a session go on. */
export function thawSession({ cgroups, cgroupOf }: SessionRuntime, id: string): void {
  cgroups.setFrozen(cgroupOf(containerIdOf(id)), false)
}
