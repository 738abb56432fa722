import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'
import type { Cgroups, Hits, Limits, Usage } from '../session/cgroups.ts'
import { type HostProcess, isAlive, readOrUndefined, startTimeOf } from '../session/host-process.ts'

/** Ticks per second in /proc, and bytes of a page. USER_HZ is the same on every Linux. */
const TICKS_PER_S = 100
const PAGE_BYTES = 4_096

/** One tree of processes that stands in for a control group. */
export interface ProcessTree {
  /** First process of a process namespace of its own. */
  init: HostProcess
  /** Where it is written down who was made to stand still. */
  frozenFile: string
}

/**
 * Stands in for control groups where there are none: what runs in a process namespace can be counted and, by SIGSTOP, made
 * to stand still. It cannot be limited.
 */
export class ProcessTrees implements Cgroups {
  readonly version = 1
  readonly missing = []
  readonly canLimitSwap = false
  readonly #treeOf: (group: string) => ProcessTree | undefined

  /** @param treeOf finds the tree of a group that runs. */
  constructor(treeOf: (group: string) => ProcessTree | undefined) {
    this.#treeOf = treeOf
  }

  /** Only the number of processes of its user can have been limited. */
  limitsOf(group: string): Limits {
    const tree = this.#treeOf(group)
    const limits = tree === undefined ? '' : (readOrUndefined(`/proc/${tree.init.pid}/limits`) ?? '')
    const pids = Number(/^Max processes\s+(\d+)/m.exec(limits)?.[1] ?? Number.NaN)
    return { memoryBytes: Number.NaN, cpus: Number.NaN, pids }
  }

  isMember(pid: number, group: string): boolean {
    return this.pidsOf(group).includes(pid)
  }

  usageOf(group: string): Usage {
    const processes = this.pidsOf(group).flatMap((pid) => readStat(pid) ?? [])
    const sum = (of: (stat: Stat) => number) => processes.reduce((total, stat) => total + of(stat), 0)
    return {
      cpuUs: (sum(({ ticks }) => ticks) * 1_000_000) / TICKS_PER_S,
      memoryBytes: sum(({ residentPages }) => residentPages) * PAGE_BYTES,
      pids: processes.length,
    }
  }

  /** There is nothing to run into. */
  hitsOf(_group: string): Hits {
    return { oomKills: 0, refusedPids: 0, periods: 0, throttledPeriods: 0 }
  }

  /** @throws AioError ISOLATION_UNAVAILABLE always. */
  setLimits(_group: string, _limits: Limits): void {
    throw new AioError(
      'ISOLATION_UNAVAILABLE',
      'Sessions in bubblewrap cannot be limited in memory, processor and processes. Run them in runc as root: see `aio doctor`.',
    )
  }

  /** @throws Error when there is no such tree any more. */
  setFrozen(group: string, isFrozen: boolean): void {
    const tree = this.#treeOf(group)
    if (tree === undefined) throw new Error(`Nothing runs in ${group}.`)
    if (isFrozen) freeze(tree)
    else thaw(tree)
  }

  isFrozen(group: string): boolean {
    const pids = this.pidsOf(group)
    return pids.length > 0 && pids.every((pid) => isStopped(readStat(pid)))
  }

  /** A tree goes with its first process, so none is ever left over. */
  list(_prefix: string): string[] {
    return []
  }

  pidsOf(group: string): number[] {
    const tree = this.#treeOf(group)
    return tree === undefined ? [] : membersOf(tree)
  }

  remove(_group: string): void {
    // Nothing was made for it.
  }
}

interface Stat {
  state: string
  parent: number
  /** Of itself and of its children that were waited for. */
  ticks: number
  residentPages: number
}

function readStat(pid: number): Stat | undefined {
  const text = readOrUndefined(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // From the third field on; see proc(5).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (field: number) => Number(fields[field - 3])
  return {
    state: fields[0] ?? 'X',
    parent: number(4),
    ticks: number(14) + number(15) + number(16) + number(17),
    residentPages: number(24),
  }
}

/** What has ended stands still too. */
function isStopped(stat: Stat | undefined): boolean {
  return stat === undefined || ['T', 't', 'Z', 'X'].includes(stat.state)
}

function membersOf({ init }: ProcessTree): number[] {
  const namespace = namespaceOf(init.pid)
  if (namespace === undefined || !isAlive(init)) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => namespaceOf(pid) === namespace)
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    // It has ended, and belongs to nothing any more.
    return undefined
  }
}

/**
 * One that has been told to stop starts no other any more, so nothing runs once a look finds nobody new. Those that
 * somebody inside had stopped already are left out: they are not ours to wake.
 */
function freeze(tree: ProcessTree): void {
  const told = new Map<number, string>()
  const known = new Set<number>()
  for (;;) {
    const fresh = membersOf(tree).filter((pid) => !known.has(pid))
    if (fresh.length === 0) return
    for (const pid of fresh) {
      known.add(pid)
      const startTime = startTimeOf(pid)
      if (startTime !== undefined && !isStopped(readStat(pid))) told.set(pid, startTime)
    }
    const before = readFrozen(tree).filter(({ pid }) => !told.has(pid))
    const all = [...before, ...[...told].map(([pid, startTime]) => ({ pid, startTime }))]
    // First, so that whoever comes after a crash knows whom to wake.
    writeFileSync(tree.frozenFile, JSON.stringify(all), { mode: 0o600 })
    for (const pid of fresh) if (told.has(pid)) signal(pid, 'SIGSTOP')
  }
}

/** Children first: a shell that wakes before the program it waits for would take it for one that was put aside. */
function thaw(tree: ProcessTree): void {
  const depth = (pid: number): number => {
    const parent = readStat(pid)?.parent ?? 0
    return pid === tree.init.pid || parent <= 1 ? 0 : 1 + depth(parent)
  }
  const frozen = readFrozen(tree).filter((process) => isAlive(process))
  const sorted = frozen.map(({ pid }) => ({ pid, depth: depth(pid) })).toSorted((a, b) => b.depth - a.depth)
  for (const { pid } of sorted) signal(pid, 'SIGCONT')
  writeFileSync(tree.frozenFile, '[]', { mode: 0o600 })
}

function readFrozen({ frozenFile }: ProcessTree): HostProcess[] {
  const parsed: unknown = JSON.parse(readOrUndefined(frozenFile) || '[]')
  return Array.isArray(parsed) ? parsed : []
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
