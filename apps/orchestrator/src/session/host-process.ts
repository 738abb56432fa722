import { readFileSync } from 'node:fs'

/** A process of this machine that cannot be mistaken for a later one with the same pid. */
export interface HostProcess {
  pid: number
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  startTime: string
}

/** Ticks per second in /proc: USER_HZ, the same on every Linux. */
const TICKS_PER_S = 100

let bootId: string | undefined

/** The kernel's id of this boot. */
export function currentBootId(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return bootId
}

/** When a process started, in clock ticks since boot; `undefined` when it does not exist or is a zombie. */
export function startTimeOf(pid: number): string | undefined {
  const fields = statOf(pid)
  const [state] = fields
  return state === undefined || state === 'Z' || state === 'X' ? undefined : fields[19]
}

/** Fields of /proc/PID/stat from the third on. */
function statOf(pid: number): string[] {
  const stat = readOrUndefined(`/proc/${pid}/stat`)
  // The name in parentheses may hold anything, so fields are counted from its end.
  return stat === undefined ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Tells whether that very process still runs. */
export function isAlive(process: HostProcess | undefined): boolean {
  return process !== undefined && startTimeOf(process.pid) === process.startTime
}

/** How long ago a process was started, in seconds; 0 for one that ended before it could be looked at. */
export function ageS(process: HostProcess | undefined): number {
  if (process === undefined) return Number.POSITIVE_INFINITY
  const uptime = Number((readOrUndefined('/proc/uptime') ?? '').split(' ')[0])
  return process.startTime === '' ? 0 : uptime - Number(process.startTime) / TICKS_PER_S
}

/** Reads a small file of /proc or /sys; `undefined` when it, or its process, is gone. */
export function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'ENODEV', 'EINVAL'].includes(`${error.code}`)
}
