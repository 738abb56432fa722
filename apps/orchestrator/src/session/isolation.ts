import { readlinkSync } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'
import type { Cgroups, Limits } from './cgroups.ts'
import { readOrUndefined } from './host-process.ts'
import { AGENT_HOST_UID, UID_BASE } from './uid-range.ts'

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']

/** How far the kernel may round a limit: memory to whole pages. */
const PAGE_BYTES = 65_536

/**
 * Compares what was asked for with what /proc says of a started container (I-7).
 *
 * @returns what is missing, one sentence each; empty when everything is in force. Of a process that has ended
 * meanwhile nothing can be said, so the caller looks afterwards whether it still lives.
 */
export function missingIsolation(pid: number, limits: Limits, cgroups: Cgroups): string[] {
  const status = readOrUndefined(`/proc/${pid}/status`) ?? ''
  const uidMap = readOrUndefined(`/proc/${pid}/uid_map`) ?? ''
  const namespaces = NAMESPACES.map((name) => ({ name, isPrivate: isPrivate(pid, name) }))
  const inForce = cgroups.limitsOf(pid)
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
  const ids = [...field('Uid').split(/\s+/), ...field('Gid').split(/\s+/)]
  const capabilities = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].filter((name) => !/^0+$/.test(field(name)))
  const checks: [boolean, string][] = [
    [field('Seccomp') === '2', 'system calls are not filtered (seccomp)'],
    [field('NoNewPrivs') === '1', 'it could gain privileges (no_new_privs)'],
    [capabilities.length === 0, `it holds capabilities (${capabilities.join(', ')})`],
    [ids.every((id) => Number(id) === AGENT_HOST_UID), 'it runs as another user than it should'],
    [uidMap.trim().split(/\s+/)[1] === String(UID_BASE), 'its user ids are those of the host (user namespace)'],
    ...namespaces.map(({ name, isPrivate }): [boolean, string] => [
      isPrivate,
      `it shares the host's ${name} namespace`,
    ]),
    [Math.abs(inForce.memoryBytes - limits.memoryBytes) <= PAGE_BYTES, 'its memory is not limited'],
    [inForce.pids === limits.pids, 'its number of processes is not limited'],
    [Math.abs(inForce.cpus - limits.cpus) < 0.01, 'its use of the processor is not limited'],
  ]
  return checks.flatMap(([isMet, problem]) => (isMet ? [] : [problem]))
}

/** The refusal that names what could not be set up. */
export function isolationError(missing: readonly string[]): AioError {
  return new AioError(
    'ISOLATION_UNAVAILABLE',
    `The session was stopped, because its container was not fully isolated: ${missing.join('; ')}. \`aio doctor\` says what this machine lacks.`,
    { details: { missing } },
  )
}

function isPrivate(pid: number, namespace: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/${namespace}`) !== readlinkSync(`/proc/self/ns/${namespace}`)
  } catch {
    // Gone or unreadable: nothing is proven, so it does not count as private.
    return false
  }
}
