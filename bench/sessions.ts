import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec, type Platform, startPlatform, until } from '@ai-orchestration/e2e/platform'
import type { Client } from '@ai-orchestration/sdk'
import { type Figure, type Goal, median } from './report.ts'

const RUNS = 15
/** After a container has begun to wait, in milliseconds. */
const SETTLE_MS = 300

/** Repositories of the sizes that the design was measured with: files, and bytes in each. */
const SIZES = [
  { files: 121, bytes: 2_000, isLarge: false },
  { files: 1_500, bytes: 4_000, isLarge: true },
  { files: 2_200, bytes: 38_000, isLarge: true },
]

/** From issue 4: creation to the first act inside, beside an isolated container alone and beside a plain script. */
const BESIDE_RUNC: Goal = { of: 'ratio', better: 'lower', atLeast: 2, aim: 1.5 }
const POOLED: Goal = { of: 'ratio', better: 'lower', atLeast: 0.5, aim: 0.5 }
const BESIDE_SCRIPT: Goal = { of: 'ratio', better: 'lower', atLeast: 0.2, aim: 0.1 }

/** An agent that does nothing but say when it began to run, in nanoseconds since 1970. */
const PROBE = `[probe]\nname = "Probe"\nargv = ["sh", "-c", "date +%s%N > first-act; exec sleep 100000"]\n`

interface Setting {
  platform: Platform
  client: Client
  projectId: string
  source: string
  /** Bundles for runc alone: the session's own `config.json` with `true` in it, and the least that runc can be asked for. */
  isolated: string
  bare: string
}

/**
 * Time from `sessions.create` until the first act of its process inside, through relay and orchestrator with both journals
 * on disk. Beside it, in turns: `runc run` of the very same, fully isolated container with `true` in it; and a plain
 * script that does `git worktree add` and a `runc run` without any isolation.
 */
export async function benchSessions(): Promise<Figure[]> {
  await using platform = await startPlatform({ LOG_LEVEL: 'error' })
  await writeFile(join(platform.aioHome, 'agents.toml'), PROBE)
  process.kill(await platform.pidOf('orchestrator'), 'SIGTERM')
  await using client = platform.client()
  await until(async () =>
    (await client.agents.list.query()).some(({ agents }) => agents.some(({ id }) => id === 'probe')),
  )
  const figures: Figure[] = []
  for (const [index, size] of SIZES.entries()) {
    const setting = await prepare(platform, client, index, size)
    const times = await measure(setting, index)
    const what = `sessions: creation to first act, ${size.files} files, ${Math.round((size.files * size.bytes) / 1e5) / 10} MB`
    const shared = { what, unit: 'ms' as const, ours: median(times.ours), runs: RUNS }
    figures.push({ ...shared, baseline: 'isolated runc run', theirs: median(times.isolated), goal: BESIDE_RUNC })
    figures.push({
      ...shared,
      baseline: 'git worktree add + bare runc run',
      theirs: median(times.script),
      ...(size.isLarge ? { goal: BESIDE_SCRIPT } : {}),
    })
    figures.push({
      ...{ what: `${what}, from the pool`, unit: 'ms' as const, ours: median(times.pooled), runs: RUNS },
      ...{ baseline: 'isolated runc run', theirs: median(times.besidePool), goal: POOLED },
    })
    for (const [part, values] of times.pooledParts)
      figures.push({
        ...{ what: `${what}, from the pool: ${part}`, unit: 'ms' as const, ours: median(values), runs: values.length },
        ...{ baseline: 'isolated runc run', theirs: median(times.besidePool) },
      })
    for (const [part, values] of times.parts)
      figures.push({
        ...{ what: `${what}: ${part}`, unit: 'ms' as const, ours: median(values), runs: values.length },
        ...{ baseline: 'isolated runc run', theirs: median(times.isolated) },
      })
  }
  return figures
}

interface Times {
  ours: number[]
  isolated: number[]
  script: number[]
  parts: Map<string, number[]>
  /** Sessions whose container waited, and `runc run` in turns with them. */
  pooled: number[]
  besidePool: number[]
  pooledParts: Map<string, number[]>
}

async function measure(setting: Setting, index: number): Promise<Times> {
  const { platform, client, projectId, source } = setting
  const times: Times = {
    ours: [],
    isolated: [],
    script: [],
    parts: new Map(),
    pooled: [],
    besidePool: [],
    pooledParts: new Map(),
  }
  const runc = ['--root', join(platform.home, 'bare')]
  const isolated = async (id: string) =>
    await time(async () => await exec('runc', [...runc, 'run', '--bundle', setting.isolated, id]))
  for (let run = 0; run < RUNS; run += 1) {
    const name = `s${run}`
    times.ours.push(await createOnce(setting, name, times.parts))
    await client.sessions.terminate.mutate({ sessionId: `${projectId}_${name}`, force: true })
    times.isolated.push(await isolated(`isolated-${index}-${run}`))
    const worktree = join(platform.home, `plain-${index}-${run}`)
    times.script.push(
      await time(async () => {
        await exec('git', ['-C', source, 'worktree', 'add', '-q', '-b', `plain-${run}`, worktree])
        await exec('runc', [...runc, 'run', '--bundle', setting.bare, `bare-${index}-${run}`])
      }),
    )
  }
  await client.projects.update.mutate({ projectId, pool: 1 })
  for (let run = 0; run < RUNS; run += 1) {
    await untilOneWaits(setting)
    const name = `p${run}`
    times.pooled.push(await createOnce(setting, name, times.pooledParts))
    await client.sessions.terminate.mutate({ sessionId: `${projectId}_${name}`, force: true })
    await untilOneWaits(setting)
    times.besidePool.push(await isolated(`beside-pool-${index}-${run}`))
  }
  await client.projects.update.mutate({ projectId, pool: 0 })
  return times
}

/** A container waits once someone reads its FIFO; proving its isolation takes a moment more. */
async function untilOneWaits({ platform, projectId }: Setting): Promise<void> {
  const bundles = join(platform.projectsDir, projectId, '.bundles')
  await until(async () => {
    const names = (await readdir(bundles)).filter((name) => name.startsWith(`${projectId}_pool-`))
    for (const name of names) {
      const fifo = await open(join(bundles, name, 'start/go'), constants.O_WRONLY | constants.O_NONBLOCK).catch(
        () => undefined,
      )
      await fifo?.close()
      if (fifo !== undefined) return true
    }
    return false
  })
  await sleep(SETTLE_MS)
}

async function createOnce(
  { platform, client, projectId }: Setting,
  name: string,
  parts: Map<string, number[]>,
): Promise<number> {
  const add = (part: string, ms: number) => parts.set(part, [...(parts.get(part) ?? []), ms])
  const stop = new AbortController()
  const steps = collectSteps(client, `${projectId}_${name}`, stop.signal, (step, ms) => add(`step ${step}`, ms))
  // The watch has to be there before there is something to see.
  await client.sessions.list.query({ projectId })
  const startedAt = performance.timeOrigin + performance.now()
  await client.sessions.create.mutate({ projectId, name, agent: 'probe' })
  add('until answered', performance.timeOrigin + performance.now() - startedAt)
  const file = join(platform.projectsDir, projectId, '.bundles', `${projectId}_${name}`, 'upper/first-act')
  await until(async () => /^\d+\n$/.test(await readFile(file, 'utf8').catch(() => '')))
  const firstAct = Number(await readFile(file, 'utf8')) / 1e6 - startedAt
  stop.abort()
  await steps
  return firstAct
}

/** How long each step of a creation took, as the command reports it: whole milliseconds. */
async function collectSteps(
  client: Client,
  sessionId: string,
  signal: AbortSignal,
  add: (step: string, ms: number) => void,
): Promise<void> {
  try {
    for await (const event of client.events({ sessionId, types: ['command_progress'] }, { signal }))
      if (event.type === 'command_progress' && event.step?.ms !== undefined && event.step.state === 'done')
        add(event.step.name, event.step.ms)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function prepare(
  platform: Platform,
  client: Client,
  index: number,
  size: { files: number; bytes: number },
): Promise<Setting> {
  const projectId = `size-${index}`
  const source = join(platform.home, `source-${index}`)
  await makeSource(source, size)
  await client.projects.create.mutate({ name: projectId, repoUrl: source })
  // The first session makes the base that later ones share; the plain script has its objects in the page cache too.
  await client.sessions.create.mutate({ projectId, name: 'first', agent: 'probe' })
  const config: unknown = JSON.parse(
    await readFile(join(platform.projectsDir, projectId, '.bundles', `${projectId}_first`, 'config.json'), 'utf8'),
  )
  const home = join(platform.home, `bench-home-${index}`)
  await mkdir(home)
  const isolated = await bundleOf(platform.home, isolatedConfig(config, index, home))
  const bare = await bundleOf(platform.home, bareConfig(rootOf(config)))
  return { platform, client, projectId, source, isolated, bare }
}

async function makeSource(path: string, size: { files: number; bytes: number }): Promise<void> {
  await exec('git', ['init', '-q', '-b', 'main', path])
  for (let index = 0; index < size.files; index += 1) {
    const folder = join(path, `folder-${index % 40}`)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, `file-${index}.txt`), randomBytes(size.bytes / 2).toString('hex'))
  }
  await exec('git', ['-C', path, 'add', '-A'])
  await exec('git', ['-C', path, '-c', 'user.name=b', '-c', 'user.email=b@b', 'commit', '-qm', 'base'])
}

async function bundleOf(home: string, config: object): Promise<string> {
  const bundle = join(home, `bundle-${randomBytes(3).toString('hex')}`)
  await mkdir(bundle)
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
  return bundle
}

/**
 * The session's own container, mounts, limits, filter and all, with a program that ends at once and no terminal. Its home
 * is mounted only while it starts, so another directory stands in.
 */
function isolatedConfig(config: unknown, index: number, home: string): object {
  const {
    process: program,
    linux,
    mounts,
    ...rest
  } = config as {
    process: object
    linux: object
    mounts: { destination: string }[]
  }
  return {
    ...rest,
    mounts: mounts.map((mount) => (mount.destination === '/home/agent' ? { ...mount, source: home } : mount)),
    process: { ...program, terminal: false, args: ['/usr/bin/tini', '--', '/usr/bin/true'] },
    linux: { ...linux, cgroupsPath: `/aio-bench-${process.pid}-${index}` },
  }
}

function rootOf(config: unknown): string {
  return (config as { root: { path: string } }).root.path
}

/** The least that runc can be asked for: its own default bundle, the same root filesystem, and `true`. */
function bareConfig(rootfs: string): object {
  return {
    ociVersion: '1.0.2',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['/usr/bin/true'], env: ['PATH=/usr/bin'], cwd: '/' },
    root: { path: rootfs, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] },
    ],
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] },
  }
}

async function time(action: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await action()
  return performance.now() - startedAt
}
