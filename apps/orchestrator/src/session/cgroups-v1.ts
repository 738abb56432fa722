import { accessSync, constants, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fieldAt, isAbsent, numberAt, processesAt, textAt, writeAt } from './cgroup-files.ts'
import type { Cgroups, Hits, Limits, Usage } from './cgroups.ts'
import { readOrUndefined } from './host-process.ts'

const NEEDED = ['memory', 'pids', 'cpu', 'freezer'] as const
const CONTROLLERS = [...NEEDED, 'cpuacct'] as const
type Controller = (typeof CONTROLLERS)[number]

/** Control groups of version 1: a tree of its own for each controller. */
export class CgroupsV1 implements Cgroups {
  readonly version = 1
  readonly #mounts: ReadonlyMap<string, string>
  readonly #all: readonly string[]
  readonly #proc: string

  /** @param mountinfo what is mounted where; @param proc where processes are listed. */
  constructor(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8'), proc = '/proc') {
    const trees = readTrees(mountinfo)
    this.#all = trees.map(({ path }) => path)
    this.#mounts = new Map(trees.flatMap(({ path, controllers }) => controllers.map((name) => [name, path])))
    this.#proc = proc
  }

  get missing(): string[] {
    return NEEDED.filter((name) => {
      const mount = this.#mounts.get(name)
      return mount === undefined || !canWrite(mount)
    })
  }

  get canLimitSwap(): boolean {
    return textAt(this.#mounts.get('memory'), 'memory.memsw.limit_in_bytes') !== undefined
  }

  limitsOf(group: string): Limits {
    const cpu = this.#at('cpu', group)
    return {
      memoryBytes: numberAt(this.#at('memory', group), 'memory.limit_in_bytes'),
      pids: numberAt(this.#at('pids', group), 'pids.max'),
      cpus: numberAt(cpu, 'cpu.cfs_quota_us') / numberAt(cpu, 'cpu.cfs_period_us'),
    }
  }

  isMember(pid: number, group: string): boolean {
    const lines = (readOrUndefined(join(this.#proc, String(pid), 'cgroup')) ?? '').split('\n')
    return NEEDED.every((name) =>
      lines.some((line) => {
        const [, controllers = '', ...path] = line.split(':')
        return controllers.split(',').includes(name) && path.join(':') === group
      }),
    )
  }

  usageOf(group: string): Usage {
    const memory = this.#at('memory', group)
    const used = numberAt(memory, 'memory.usage_in_bytes')
    return {
      cpuUs: (numberAt(this.#at('cpuacct', group), 'cpuacct.usage') || 0) / 1_000,
      memoryBytes: Math.max(0, (used || 0) - fieldAt(memory, 'memory.stat', 'total_inactive_file')),
      pids: numberAt(this.#at('pids', group), 'pids.current') || 0,
    }
  }

  hitsOf(group: string): Hits {
    const cpu = this.#at('cpu', group)
    return {
      oomKills: fieldAt(this.#at('memory', group), 'memory.oom_control', 'oom_kill'),
      refusedPids: fieldAt(this.#at('pids', group), 'pids.events', 'max'),
      periods: fieldAt(cpu, 'cpu.stat', 'nr_periods'),
      throttledPeriods: fieldAt(cpu, 'cpu.stat', 'nr_throttled'),
    }
  }

  setLimits(group: string, limits: Limits): void {
    const memory = this.#require('memory', group)
    const cpu = this.#require('cpu', group)
    const files = ['memory.limit_in_bytes', ...(this.canLimitSwap ? ['memory.memsw.limit_in_bytes'] : [])]
    // Memory alone is never more than memory with swap, so the order depends on the direction.
    if (limits.memoryBytes > this.limitsOf(group).memoryBytes) files.reverse()
    for (const file of files) writeAt(memory, file, limits.memoryBytes)
    writeAt(this.#require('pids', group), 'pids.max', limits.pids)
    writeAt(cpu, 'cpu.cfs_quota_us', Math.round(limits.cpus * numberAt(cpu, 'cpu.cfs_period_us')))
  }

  setFrozen(group: string, isFrozen: boolean): void {
    writeAt(this.#require('freezer', group), 'freezer.state', isFrozen ? 'FROZEN' : 'THAWED')
  }

  isFrozen(group: string): boolean {
    return textAt(this.#at('freezer', group), 'freezer.state') === 'FROZEN'
  }

  list(prefix: string): string[] {
    const names = this.#all.flatMap((mount) => readdirSync(mount))
    return [...new Set(names.filter((name) => name.startsWith(prefix)))].map((name) => `/${name}`)
  }

  pidsOf(group: string): number[] {
    return [...new Set(this.#all.flatMap((mount) => processesAt(join(mount, group))))]
  }

  remove(group: string): void {
    for (const mount of this.#all) {
      try {
        rmdirSync(join(mount, group))
      } catch (error) {
        if (!isAbsent(error)) throw error
      }
    }
  }

  #at(controller: Controller, group: string): string | undefined {
    const mount = this.#mounts.get(controller)
    return mount === undefined ? undefined : join(mount, group)
  }

  #require(controller: Controller, group: string): string {
    const directory = this.#at(controller, group)
    if (directory === undefined) throw new Error(`There is no ${controller} controller.`)
    return directory
  }
}

function readTrees(mountinfo: string): { path: string; controllers: string[] }[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const path = before.split(' ')[4]
    const [type, , options = ''] = after.split(' ')
    if (path === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return []
    const controllers = type === 'cgroup' ? options.split(',') : []
    return [{ path, controllers: CONTROLLERS.filter((name) => controllers.includes(name)) }]
  })
}

function canWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    // Whatever the reason: it cannot be written.
    return false
  }
}
