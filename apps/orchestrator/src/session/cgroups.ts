import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readOrUndefined } from './host-process.ts'

/** What a container may use at most. */
export interface Limits {
  memoryBytes: number
  pids: number
  /** In cores. */
  cpus: number
}

/** Limits of a session unless it says otherwise. */
export const DEFAULT_LIMITS: Limits = { memoryBytes: 2 * 1024 ** 3, pids: 512, cpus: 1.5 }

/** Length of one period of the cpu controller, in microseconds; the kernel's own default. */
export const CPU_PERIOD_US = 100_000

/** The machine's control groups, version 1 (a hierarchy per controller) or 2 (one for all). */
export class Cgroups {
  readonly #mounts: ReadonlyMap<string, string>

  constructor(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')) {
    this.#mounts = readMounts(mountinfo)
  }

  /** True when memory limits can include swap. */
  get canLimitSwap(): boolean {
    const memory = this.#mounts.get('memory')
    return memory === undefined || readOrUndefined(join(memory, 'memory.memsw.limit_in_bytes')) !== undefined
  }

  /** The limits in force for a process; NaN where there is no controller, infinite where there is no limit. */
  limitsOf(pid: number): Limits {
    const [memory, pids, cpu] = ['memory', 'pids', 'cpu'].map((controller) => this.#directoryOf(pid, controller))
    const [quota, period] = this.#isV1('cpu')
      ? [numberAt(cpu, 'cpu.cfs_quota_us'), numberAt(cpu, 'cpu.cfs_period_us')]
      : (textAt(cpu, 'cpu.max') ?? '').split(' ').map(toNumber)
    return {
      memoryBytes: numberAt(memory, this.#isV1('memory') ? 'memory.limit_in_bytes' : 'memory.max'),
      pids: numberAt(pids, 'pids.max'),
      cpus: (quota ?? Number.NaN) / (period ?? Number.NaN),
    }
  }

  /** How often the kernel killed something in a group for lack of memory; 0 when the group is gone. */
  oomKills(path: string): number {
    const v1 = this.#mounts.get('memory')
    const text =
      v1 === undefined
        ? textAt(join(this.#mounts.get('') ?? '', path), 'memory.events')
        : textAt(join(v1, path), 'memory.oom_control')
    return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0)
  }

  /** Groups at the root whose name begins so, over all controllers. */
  list(prefix: string): string[] {
    const names = [...this.#mounts.values()].flatMap((mount) => readdirSync(mount))
    return [...new Set(names.filter((name) => name.startsWith(prefix)))]
  }

  #isV1(controller: string): boolean {
    return this.#mounts.has(controller)
  }

  #directoryOf(pid: number, controller: string): string | undefined {
    const wanted = this.#isV1(controller) ? controller : ''
    const mount = this.#mounts.get(wanted)
    const line = (readOrUndefined(`/proc/${pid}/cgroup`) ?? '')
      .split('\n')
      .map((text) => text.split(':'))
      .find(([, controllers]) => controllers?.split(',').includes(wanted))
    return mount === undefined || line === undefined ? undefined : join(mount, line.slice(2).join(':'))
  }
}

function readMounts(mountinfo: string): Map<string, string> {
  const mounts = new Map<string, string>()
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const path = before.split(' ')[4]
    const [type, , options = ''] = after.split(' ')
    if (path === undefined) continue
    if (type === 'cgroup2') mounts.set('', path)
    if (type !== 'cgroup') continue
    for (const controller of ['memory', 'pids', 'cpu'])
      if (options.split(',').includes(controller)) mounts.set(controller, path)
  }
  return mounts
}

function textAt(directory: string | undefined, file: string): string | undefined {
  return directory === undefined ? undefined : readOrUndefined(join(directory, file))?.trim()
}

function numberAt(directory: string | undefined, file: string): number {
  return toNumber(textAt(directory, file))
}

function toNumber(text: string | undefined): number {
  if (text === 'max' || text === '-1') return Number.POSITIVE_INFINITY
  return text === undefined || text === '' ? Number.NaN : Number(text)
}
