import { accessSync, constants, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fieldAt, isAbsent, numberAt, processesAt, textAt, toNumber, writeAt } from './cgroup-files.ts'
import { type Cgroups, CPU_PERIOD_US, type Hits, type Limits, type Usage } from './cgroups.ts'
import { readOrUndefined } from './host-process.ts'

const NEEDED = ['memory', 'pids', 'cpu']

/** Control groups of version 2: one tree for all controllers. */
export class CgroupsV2 implements Cgroups {
  readonly version = 2
  readonly #root: string
  readonly #proc: string

  /** @param root where the tree is mounted; @param proc where processes are listed. */
  constructor(root = '/sys/fs/cgroup', proc = '/proc') {
    this.#root = root
    this.#proc = proc
  }

  get missing(): string[] {
    const there = (textAt(this.#root, 'cgroup.controllers') ?? '').split(' ')
    const missing = NEEDED.filter((name) => !there.includes(name))
    try {
      accessSync(this.#root, constants.W_OK)
      return missing
    } catch {
      // Whatever the reason: no group can be made.
      return [...NEEDED]
    }
  }

  /** The root group has no limits of its own, so any group below it is asked; without one, the kernel's accounting is. */
  get canLimitSwap(): boolean {
    const groups = readdirSync(this.#root, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return groups.some(({ name }) => textAt(join(this.#root, name), 'memory.swap.max') !== undefined)
  }

  limitsOf(group: string): Limits {
    const directory = join(this.#root, group)
    const [quota, period] = (textAt(directory, 'cpu.max') ?? '').split(' ').map(toNumber)
    return {
      memoryBytes: numberAt(directory, 'memory.max'),
      pids: numberAt(directory, 'pids.max'),
      cpus: (quota ?? Number.NaN) / (period ?? Number.NaN),
    }
  }

  isMember(pid: number, group: string): boolean {
    const lines = (readOrUndefined(join(this.#proc, String(pid), 'cgroup')) ?? '').split('\n')
    return lines.includes(`0::${group}`)
  }

  usageOf(group: string): Usage {
    const directory = join(this.#root, group)
    const used = numberAt(directory, 'memory.current') || 0
    return {
      cpuUs: fieldAt(directory, 'cpu.stat', 'usage_usec'),
      memoryBytes: Math.max(0, used - fieldAt(directory, 'memory.stat', 'inactive_file')),
      pids: numberAt(directory, 'pids.current') || 0,
    }
  }

  hitsOf(group: string): Hits {
    const directory = join(this.#root, group)
    return {
      oomKills: fieldAt(directory, 'memory.events', 'oom_kill'),
      refusedPids: fieldAt(directory, 'pids.events', 'max'),
      periods: fieldAt(directory, 'cpu.stat', 'nr_periods'),
      throttledPeriods: fieldAt(directory, 'cpu.stat', 'nr_throttled'),
    }
  }

  setLimits(group: string, limits: Limits): void {
    const directory = join(this.#root, group)
    writeAt(directory, 'memory.max', limits.memoryBytes)
    writeAt(directory, 'pids.max', limits.pids)
    writeAt(directory, 'cpu.max', `${Math.round(limits.cpus * CPU_PERIOD_US)} ${CPU_PERIOD_US}`)
  }

  setFrozen(group: string, isFrozen: boolean): void {
    writeAt(join(this.#root, group), 'cgroup.freeze', isFrozen ? 1 : 0)
  }

  isFrozen(group: string): boolean {
    return fieldAt(join(this.#root, group), 'cgroup.events', 'frozen') === 1
  }

  list(prefix: string): string[] {
    return readdirSync(this.#root)
      .filter((name) => name.startsWith(prefix))
      .map((name) => `/${name}`)
  }

  pidsOf(group: string): number[] {
    return processesAt(join(this.#root, group))
  }

  remove(group: string): void {
    try {
      rmdirSync(join(this.#root, group))
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }
}
