import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exec, startPlatform } from '@ai-orchestration/e2e/platform'
import { type Figure, median } from './report.ts'

const RUNS = 10

/** Repositories of the sizes that the design was measured with: files, and bytes in each. */
const SIZES = [
  { files: 121, bytes: 2_000 },
  { files: 1_500, bytes: 4_000 },
  { files: 2_200, bytes: 38_000 },
]

/**
 * Time from `sessions.create` until its container's process runs, through relay and orchestrator, beside a plain script
 * that does `git worktree add` and a bare `runc run` of the same root filesystem, without any isolation.
 */
export async function benchSessions(): Promise<Figure[]> {
  await using platform = await startPlatform({ LOG_LEVEL: 'error' })
  await using client = platform.client()
  const figures: Figure[] = []
  for (const [index, size] of SIZES.entries()) {
    const projectId = `size-${index}`
    const source = join(platform.home, `source-${index}`)
    await makeSource(source, size)
    await client.projects.create.mutate({ name: projectId, repoUrl: source })
    // The first session makes the base that later ones share; the plain script has its objects in the page cache too.
    await client.sessions.create.mutate({ projectId, name: 'first', agent: 'shell' })
    const bundle = await bareBundle(
      platform.home,
      await rootfsOf(join(platform.projectsDir, projectId, '.bundles', `${projectId}_first`)),
    )
    const ours: number[] = []
    const worktreeAndRunc: number[] = []
    const runcAlone: number[] = []
    for (let run = 0; run < RUNS; run += 1) {
      const name = `s${run}`
      ours.push(await time(async () => await client.sessions.create.mutate({ projectId, name, agent: 'shell' })))
      await client.sessions.terminate.mutate({ sessionId: `${projectId}_${name}`, force: true })
      const worktree = join(platform.home, `plain-${index}-${run}`)
      worktreeAndRunc.push(
        await time(async () => {
          await exec('git', ['-C', source, 'worktree', 'add', '-q', '-b', `plain-${run}`, worktree])
          await exec('runc', ['--root', join(platform.home, 'bare'), 'run', '--bundle', bundle, `bare-${index}-${run}`])
        }),
      )
      runcAlone.push(
        await time(
          async () =>
            await exec('runc', [
              '--root',
              join(platform.home, 'bare'),
              'run',
              '--bundle',
              bundle,
              `alone-${index}-${run}`,
            ]),
        ),
      )
    }
    const what = `sessions: creation, ${size.files} files, ${Math.round((size.files * size.bytes) / 1e5) / 10} MB`
    const shared = { what, unit: 'ms' as const, ours: median(ours), runs: RUNS }
    figures.push({ ...shared, baseline: 'git worktree add + bare runc run', theirs: median(worktreeAndRunc) })
    figures.push({ ...shared, baseline: 'bare runc run alone', theirs: median(runcAlone) })
  }
  return figures
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

/** The root filesystem that the sessions of this run start from. */
async function rootfsOf(bundle: string): Promise<string> {
  const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as { root: { path: string } }
  return config.root.path
}

/** The least that runc can be asked for: its own default bundle, the same root filesystem, and `true`. */
async function bareBundle(home: string, rootfs: string): Promise<string> {
  const bundle = join(home, `bare-bundle-${randomBytes(3).toString('hex')}`)
  await mkdir(bundle)
  const config = {
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
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
  return bundle
}

async function time(action: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await action()
  return performance.now() - startedAt
}
