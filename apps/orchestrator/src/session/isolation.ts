import { existsSync, readlinkSync } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { Cgroups, Limits } from './cgroups.ts'
import { MASKED_PATHS, READONLY_PATHS } from './container.ts'
import { readOrUndefined } from './host-process.ts'
import { AGENT_UID, UID_COUNT } from './uid-range.ts'

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']

/** How far the kernel may round a limit: memory to whole pages. */
const PAGE_BYTES = 65_536

/** What a started container is to be. */
export interface ExpectedIsolation {
  limits: Limits
  /** First id of its range on the host. */
  uidBase: number
  /** Its control group. */
  group: string
  /** True when its root filesystem is an overlay with a layer of its own; any other is read-only. */
  isRootOwn: boolean
  /** Where the runtime keeps what it really set up; `undefined` when it keeps no such record. */
  stateFile: string | undefined
  /** What its map of user ids says; the whole range when absent. */
  idMap?: string
}

/** Of the runtime's own record of a running container, what a person's safety hangs on. */
const stateSchema = z.object({
  config: z.object({
    readonlyfs: z.boolean(),
    no_new_privileges: z.literal(true),
    seccomp: z.object({ default_action: z.number(), syscalls: z.array(z.unknown()).min(1) }),
    devices: z.unknown().optional(),
    mask_paths: z.array(z.string()),
    readonly_paths: z.array(z.string()),
  }),
})

/**
 * Compares what was asked for with what /proc and the runtime's own record say of a started container (I-7).
 *
 * @returns what is missing, one sentence each; empty when everything is in force. Of a process that has ended
 * meanwhile nothing can be said, so the caller looks afterwards whether it still lives.
 */
export function missingIsolation(pid: number, expected: ExpectedIsolation, cgroups: Cgroups): string[] {
  const checks = [
    ...processChecks(pid, expected),
    ...NAMESPACES.map((name): Check => [isPrivate(pid, name), `it shares the host's ${name} namespace`]),
    ...mountChecks(pid, expected),
    ...limitChecks(pid, expected, cgroups),
    [hasSafeSpec(expected), "the runtime's own record of it is missing or says something else"] as Check,
  ]
  return checks.flatMap(([isMet, problem]) => (isMet ? [] : [problem]))
}

type Check = [isMet: boolean, problem: string]

function processChecks(pid: number, { uidBase, idMap = `0 ${uidBase} ${UID_COUNT}` }: ExpectedIsolation): Check[] {
  const status = readOrUndefined(`/proc/${pid}/status`) ?? ''
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
  const ids = [...field('Uid').split(/\s+/), ...field('Gid').split(/\s+/)]
  const capabilities = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].filter((name) => !/^0+$/.test(field(name)))
  const maps = ['uid_map', 'gid_map'].map((name) => readOrUndefined(`/proc/${pid}/${name}`) ?? '')
  return [
    [field('Seccomp') === '2', 'system calls are not filtered (seccomp)'],
    [field('NoNewPrivs') === '1', 'it could gain privileges (no_new_privs)'],
    [capabilities.length === 0, `it holds capabilities (${capabilities.join(', ')})`],
    [ids.every((id) => Number(id) === uidBase + AGENT_UID), 'it runs as another user than it should'],
    [
      maps.every((map) => map.trim().split(/\s+/).join(' ') === idMap),
      'its user ids are those of the host (user namespace)',
    ],
  ]
}

/** Masked paths are mounted over with nothing, read-only ones with themselves. */
function mountChecks(pid: number, { isRootOwn }: ExpectedIsolation): Check[] {
  const options = new Map<string, string[]>()
  let rootType: string | undefined
  for (const line of (readOrUndefined(`/proc/${pid}/mountinfo`) ?? '').split('\n')) {
    const fields = line.split(' ')
    // A later mount at the same place hides the earlier one.
    if (fields[4] !== undefined) options.set(fields[4], fields[5]?.split(',') ?? [])
    if (fields[4] === '/') rootType = fields[fields.indexOf('-') + 1]
  }
  const open = MASKED_PATHS.filter((path) => existsSync(path) && !options.has(path))
  const isOwnRoot = isRootOwn && rootType === 'overlay'
  const writable = [...(isOwnRoot ? [] : ['/']), ...READONLY_PATHS.filter((path) => existsSync(path))].filter(
    (path) => options.get(path)?.includes('ro') !== true,
  )
  return [
    [open.length === 0, `it can see ${open.join(', ')} of the kernel`],
    [writable.length === 0, `it could write to ${writable.join(', ')}`],
  ]
}

function limitChecks(pid: number, { limits, group }: ExpectedIsolation, cgroups: Cgroups): Check[] {
  const inForce = cgroups.limitsOf(group)
  return [
    [cgroups.isMember(pid, group), 'it is not in the control group that limits it'],
    [Math.abs(inForce.memoryBytes - limits.memoryBytes) <= PAGE_BYTES, 'its memory is not limited'],
    [inForce.pids === limits.pids, 'its number of processes is not limited'],
    [Math.abs(inForce.cpus - limits.cpus) < 0.01, 'its use of the processor is not limited'],
  ]
}

function hasSafeSpec({ stateFile, isRootOwn }: ExpectedIsolation): boolean {
  if (stateFile === undefined) return true
  const text = readOrUndefined(stateFile)
  if (text === undefined) return false
  const found = stateSchema.safeParse(JSON.parse(text))
  return (
    found.success &&
    found.data.config.readonlyfs !== isRootOwn &&
    MASKED_PATHS.every((path) => found.data.config.mask_paths.includes(path)) &&
    READONLY_PATHS.every((path) => found.data.config.readonly_paths.includes(path))
  )
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
