import { AioError, containerIdOf, type LimitsRequest, type SessionLimits } from '@ai-orchestration/protocol'
import { DEFAULT_SESSION_LIMITS, groupLimits } from './cgroups.ts'
import { isAlive } from './host-process.ts'
import type { SessionRuntime } from './runtime.ts'

/** Limits with changes applied in their order; what a change does not name stays. */
export function withLimits(limits: SessionLimits, ...changes: (LimitsRequest | undefined)[]): SessionLimits {
  return changes.reduce<SessionLimits>(
    (before, change) => ({
      memoryMb: change?.memoryMb ?? before.memoryMb,
      cpus: change?.cpus ?? before.cpus,
      pids: change?.pids ?? before.pids,
      diskMb: change?.diskMb ?? before.diskMb,
    }),
    limits,
  )
}

/**
 * Changes what a session may use, at once when it runs, else with its next start.
 *
 * @throws AioError LIMIT when it uses more memory than that now; EXEC_ERROR when the kernel refuses.
 */
export async function changeLimits(runtime: SessionRuntime, id: string, change: LimitsRequest): Promise<void> {
  const { session, process } = runtime.store.require(id)
  const before = session.limits ?? DEFAULT_SESSION_LIMITS
  const limits = withLimits(before, change)
  // That of the disk is watched over, and is in no group.
  const isOfGroup = JSON.stringify(groupLimits(limits)) !== JSON.stringify(groupLimits(before))
  if (isOfGroup && process !== undefined && isAlive(process)) apply(runtime, id, before, limits)
  await runtime.store.change(id, { session: { limits } })
}

function apply({ cgroups, cgroupOf }: SessionRuntime, id: string, before: SessionLimits, limits: SessionLimits): void {
  const group = cgroupOf(containerIdOf(id))
  const used = Math.ceil(cgroups.usageOf(group).memoryBytes / 1024 ** 2)
  // The kernel would make room by killing something.
  if (limits.memoryMb < before.memoryMb && used > limits.memoryMb)
    throw new AioError(
      'LIMIT',
      `The session ${id} uses ${used} MiB of memory now, so it cannot be held to ${limits.memoryMb}. End something in it first, or restart it.`,
    )
  try {
    cgroups.setLimits(group, groupLimits(limits))
  } catch (error) {
    cgroups.setLimits(group, groupLimits(before))
    const why = error instanceof Error ? error.message : String(error)
    throw new AioError('EXEC_ERROR', `The kernel refused these limits, so the former ones stay: ${why}`, {
      cause: error,
    })
  }
}
