import type { SessionLimits } from '@ai-orchestration/protocol'

/** What a group of processes may use at most. */
export interface Limits {
  memoryBytes: number
  pids: number
  /** In cores. */
  cpus: number
}

/** What a group uses now. */
export interface Usage {
  /** Processor time since the group was made, in microseconds. */
  cpuUs: number
  /** Without the part of the page cache that the kernel would give up first. */
  memoryBytes: number
  pids: number
}

/** How often a group has run into its limits since it was made. */
export interface Hits {
  /** Processes the kernel ended for lack of memory. */
  oomKills: number
  /** Processes that could not be started. */
  refusedPids: number
  /** Periods in which something wanted to run, and those in which it had to wait because the share was used up. */
  periods: number
  throttledPeriods: number
}

/** The machine's control groups; groups are named by their path from the root, such as `/aio-…`. */
export interface Cgroups {
  readonly version: 1 | 2
  /** Controllers that sessions need and that are missing or cannot be written; empty when all is well. */
  readonly missing: readonly string[]
  /** True when a memory limit can include swap. */
  readonly canLimitSwap: boolean
  /** The limits in force; NaN where there is no controller or group, infinite where there is no limit. */
  limitsOf(group: string): Limits
  /** Tells whether the process is in that very group for every controller that limits it. */
  isMember(pid: number, group: string): boolean
  usageOf(group: string): Usage
  hitsOf(group: string): Hits
  /** Changes limits of a group that exists. @throws Error of the kernel, such as EBUSY for memory that is in use. */
  setLimits(group: string, limits: Limits): void
  /** Freezes a group or lets it go on; takes effect a moment later. @throws Error of the kernel, ENOENT without a group. */
  setFrozen(group: string, isFrozen: boolean): void
  /** Tells whether every process of the group stands still. */
  isFrozen(group: string): boolean
  /** Groups at the root whose name begins so, each as a path. */
  list(prefix: string): string[]
  /** Processes of a group. */
  pidsOf(group: string): number[]
  /** Removes a group that holds no process any more. */
  remove(group: string): void
}

/** Limits of a session that neither it nor its project changes. */
export const DEFAULT_SESSION_LIMITS: SessionLimits = { memoryMb: 2_048, cpus: 1.5, pids: 512, diskMb: 10_240 }

/** What the kernel's control groups hold a container to; the disk is watched over instead. */
export function groupLimits({ memoryMb, pids, cpus }: SessionLimits): Limits {
  return { memoryBytes: memoryMb * 1024 ** 2, pids, cpus }
}

/** Limits of a container that is no session. */
export const DEFAULT_LIMITS: Limits = groupLimits(DEFAULT_SESSION_LIMITS)

/** Length of one period of the cpu controller, in microseconds; the kernel's own default. */
export const CPU_PERIOD_US = 100_000
