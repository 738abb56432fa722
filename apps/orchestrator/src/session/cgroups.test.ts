import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Cgroups } from './cgroups.ts'
import { CgroupsV1 } from './cgroups-v1.ts'
import { CgroupsV2 } from './cgroups-v2.ts'
import { CGROUP2_MAGIC, openCgroups } from './open-cgroups.ts'

const TMPFS_MAGIC = 0x01021994
const GROUP = '/aio-x-one'
const made: string[] = []
let root = ''

/** The files of a group as the kernel shows them, in a directory of ours. */
async function tree(files: Record<string, string>): Promise<void> {
  root = await mkdtemp(join(tmpdir(), 'aio-cgroups-'))
  made.push(root)
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), content)
  }
}
afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true })
})

const written = async (path: string) => (await readFile(join(root, path), 'utf8')).trim()

function shared(open: () => Cgroups): void {
  it('tell limits, use and what was run into', () => {
    const groups = open()
    expect(groups.missing).toEqual([])
    expect(groups.canLimitSwap).toBe(true)
    expect(groups.limitsOf(GROUP)).toEqual({ memoryBytes: 1_073_741_824, pids: 512, cpus: 1.5 })
    expect(groups.usageOf(GROUP)).toEqual({ cpuUs: 2_500_000, memoryBytes: 9_000_000, pids: 7 })
    expect(groups.hitsOf(GROUP)).toEqual({ oomKills: 2, refusedPids: 5, periods: 100, throttledPeriods: 40 })
    expect(groups.isFrozen(GROUP)).toBe(true)
    expect(groups.list('aio-x-')).toEqual([GROUP])
    expect(groups.pidsOf(GROUP)).toEqual([12, 13])
  })
  it('tell a member from one that is elsewhere', () => {
    expect(open().isMember(12, GROUP)).toBe(true)
    expect(open().isMember(13, GROUP)).toBe(false)
    expect(open().isMember(14, GROUP)).toBe(false)
  })
  it('of a group that is not there are missing, not unlimited', () => {
    const groups = open()
    expect(groups.limitsOf('/none')).toEqual({ memoryBytes: Number.NaN, pids: Number.NaN, cpus: Number.NaN })
    expect(groups.hitsOf('/none')).toEqual({ oomKills: 0, refusedPids: 0, periods: 0, throttledPeriods: 0 })
    expect(groups.isFrozen('/none')).toBe(false)
    expect(groups.pidsOf('/none')).toEqual([])
    expect(() => groups.setFrozen('/none', true)).toThrow(/ENOENT/)
    expect(() => groups.remove('/none')).not.toThrow()
  })
}

describe('control groups of version 2', () => {
  beforeEach(
    async () =>
      await tree({
        'cgroup.controllers': 'cpuset cpu io memory pids\n',
        'aio-x-one/memory.max': '1073741824\n',
        'aio-x-one/memory.swap.max': '0\n',
        'aio-x-one/memory.current': '10000000\n',
        'aio-x-one/memory.stat': 'anon 5\ninactive_file 1000000\n',
        'aio-x-one/memory.events': 'low 0\noom 3\noom_kill 2\n',
        'aio-x-one/pids.max': '512\n',
        'aio-x-one/pids.current': '7\n',
        'aio-x-one/pids.events': 'max 5\n',
        'aio-x-one/cpu.max': '150000 100000\n',
        'aio-x-one/cpu.stat': 'usage_usec 2500000\nnr_periods 100\nnr_throttled 40\n',
        'aio-x-one/cgroup.freeze': '0\n',
        'aio-x-one/cgroup.events': 'populated 1\nfrozen 1\n',
        'aio-x-one/cgroup.procs': '12\n13\n',
        'proc/12/cgroup': '0::/aio-x-one\n',
        'proc/13/cgroup': '0::/aio-x-one-else\n',
      }),
  )
  shared(() => new CgroupsV2(root, join(root, 'proc')))
  it('are changed', async () => {
    const groups = new CgroupsV2(root)
    groups.setLimits(GROUP, { memoryBytes: 5_000, pids: 9, cpus: 0.25 })
    expect(await written('aio-x-one/memory.max')).toMatch(/^5000/)
    expect(await written('aio-x-one/pids.max')).toMatch(/^9/)
    expect(await written('aio-x-one/cpu.max')).toMatch(/^25000 100000/)
    groups.setFrozen(GROUP, true)
    expect(await written('aio-x-one/cgroup.freeze')).toMatch(/^1/)
    groups.setFrozen(GROUP, false)
    expect(await written('aio-x-one/cgroup.freeze')).toMatch(/^0/)
  })
  it('without a controller are missing it, and no limit is not a number', async () => {
    await writeFile(join(root, 'cgroup.controllers'), 'cpu io\n')
    await writeFile(join(root, 'aio-x-one/memory.max'), 'max\n')
    expect(new CgroupsV2(root).missing).toEqual(['memory', 'pids'])
    expect(new CgroupsV2(root).limitsOf(GROUP).memoryBytes).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('control groups of version 1', () => {
  const v1 = () =>
    new CgroupsV1(
      ['memory', 'pids', 'cpu,cpuacct', 'freezer']
        .map((name, index) => `${index} 1 0:${index} / ${root}/${name} rw - cgroup cgroup rw,${name}`)
        .join('\n'),
      join(root, 'proc'),
    )
  beforeEach(
    async () =>
      await tree({
        'memory/memory.memsw.limit_in_bytes': '9223372036854771712\n',
        'memory/aio-x-one/memory.limit_in_bytes': '1073741824\n',
        'memory/aio-x-one/memory.memsw.limit_in_bytes': '1073741824\n',
        'memory/aio-x-one/memory.usage_in_bytes': '10000000\n',
        'memory/aio-x-one/memory.stat': 'cache 7\ntotal_inactive_file 1000000\n',
        'memory/aio-x-one/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
        'memory/aio-x-one/cgroup.procs': '12\n13\n',
        'pids/aio-x-one/pids.max': '512\n',
        'pids/aio-x-one/pids.current': '7\n',
        'pids/aio-x-one/pids.events': 'max 5\n',
        'cpu,cpuacct/aio-x-one/cpu.cfs_quota_us': '150000\n',
        'cpu,cpuacct/aio-x-one/cpu.cfs_period_us': '100000\n',
        'cpu,cpuacct/aio-x-one/cpu.stat': 'nr_periods 100\nnr_throttled 40\nthrottled_time 9\n',
        'cpu,cpuacct/aio-x-one/cpuacct.usage': '2500000000\n',
        'freezer/aio-x-one/freezer.state': 'FROZEN\n',
        'proc/12/cgroup': '4:freezer:/aio-x-one\n3:cpu,cpuacct:/aio-x-one\n2:pids:/aio-x-one\n1:memory:/aio-x-one\n',
        'proc/13/cgroup': '4:freezer:/aio-x-one\n3:cpu,cpuacct:/aio-x-one\n2:pids:/\n1:memory:/aio-x-one\n',
      }),
  )
  shared(v1)
  it('are changed', async () => {
    v1().setLimits(GROUP, { memoryBytes: 2_000_000_000, pids: 9, cpus: 0.25 })
    for (const file of ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'])
      expect(await written(`memory/aio-x-one/${file}`)).toMatch(/^2000000000/)
    expect(await written('pids/aio-x-one/pids.max')).toMatch(/^9/)
    expect(await written('cpu,cpuacct/aio-x-one/cpu.cfs_quota_us')).toMatch(/^25000/)
    v1().setFrozen(GROUP, false)
    expect(await written('freezer/aio-x-one/freezer.state')).toMatch(/^THAWED/)
  })
  it('without a controller are missing it', () => {
    expect(new CgroupsV1('').missing).toEqual(['memory', 'pids', 'cpu', 'freezer'])
    expect(new CgroupsV1('').limitsOf(GROUP).pids).toBeNaN()
  })
})

describe('the version', () => {
  it('is told by the magic of the file system', () => {
    expect(openCgroups(CGROUP2_MAGIC).version).toBe(2)
    expect(openCgroups(TMPFS_MAGIC).version).toBe(1)
  })
})
