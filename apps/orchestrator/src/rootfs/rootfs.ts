import { createHash } from 'node:crypto'
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import type { Bind } from '../session/container.ts'
import { isMounted, unmount } from '../session/mounts.ts'
import { shortHash } from '../session/paths.ts'
import { buildSkeleton, skeletonStamp } from './skeleton.ts'

/** A root filesystem that containers can start from. */
export interface Rootfs {
  /** Where runc finds it. */
  path: string
  /** The directory it was made in; `undefined` when it is the skeleton. */
  source: string | undefined
  /** What is to be mounted into it: /usr of the host, when it is the skeleton. */
  binds: readonly Bind[]
}

/** What is mounted on, and what runc makes entries in: a link there would lead it out of the container (I-05). */
const MOUNTPOINTS = ['dev', 'proc', 'sys', 'tmp', 'project', 'home', 'home/agent', 'opt', 'opt/agents', 'etc', 'usr']

/** Links of /dev that every distribution has and that lead nowhere else. */
const HARMLESS_DEV_LINKS: Record<string, string> = {
  core: '/proc/kcore',
  fd: '/proc/self/fd',
  ptmx: 'pts/ptmx',
  stderr: '/proc/self/fd/2',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
}

/** Where the root filesystem is put when AIO_RUN lies in a place that other users cannot enter, such as a home. */
const REACHABLE = '/run/aio-rootfs'

/** What new containers start from; it can be replaced while others run, which keep what they started with. */
export class RootFilesystem {
  readonly #place: string
  readonly #rootfsDir: string
  #current: Rootfs

  /**
   * Makes the root filesystem ready: the one at `rootfsDir` when it exists, else the skeleton.
   *
   * @throws AioError ISOLATION_UNAVAILABLE when it cannot be used, with what to do.
   */
  static async open(aioRun: string, rootfsDir: string): Promise<RootFilesystem> {
    await mkdir(aioRun, { recursive: true, mode: 0o711 })
    await chmod(aioRun, 0o711)
    const place = await reachablePlace(aioRun)
    return new RootFilesystem(place, rootfsDir, await prepare(place, rootfsDir))
  }

  private constructor(place: string, rootfsDir: string, current: Rootfs) {
    this.#place = place
    this.#rootfsDir = rootfsDir
    this.#current = current
  }

  /** What a container that is described now starts from; take it once, since it may be another a moment later. */
  get current(): Rootfs {
    return this.#current
  }

  /** Looks again at what is at `rootfsDir`; on an error the former one stays in use. */
  async refresh(): Promise<Rootfs> {
    this.#current = await prepare(this.#place, this.#rootfsDir)
    return this.#current
  }

  /** Makes a directory usable as a root filesystem, without new containers starting from it. */
  async mount(directory: string): Promise<Rootfs> {
    return await mountRootfs(this.#place, directory)
  }

  /** Where a session's own root is mounted, in a place that its user can reach. */
  placeOf(sessionId: string): string {
    return join(this.#place, `root-${shortHash(sessionId)}`)
  }

  /** Takes back what {@link mount} did; containers that run on it keep it. */
  async unmount(directory: string): Promise<void> {
    const path = mountpointOf(this.#place, directory)
    if (!(await isDirectory(path))) return
    await unmount(path)
    await rmdir(path)
  }
}

async function prepare(place: string, rootfsDir: string): Promise<Rootfs> {
  if (await isDirectory(rootfsDir)) return await mountRootfs(place, await realpath(rootfsDir))
  const path = join(place, 'rootfs')
  await unmount(path)
  await placeSkeleton(path)
  await assertProgram('/usr/bin/tini')
  return { path, source: undefined, binds: [{ source: '/usr', destination: '/usr', isWritable: false }] }
}

async function mountRootfs(place: string, directory: string): Promise<Rootfs> {
  await checkRootfs(directory)
  const path = mountpointOf(place, directory)
  await bindRootfs(directory, path)
  return { path, source: directory, binds: [] }
}

/** One for each, so that a container that is being started never sees half of one and half of another. */
function mountpointOf(place: string, directory: string): string {
  return join(place, `rootfs-${shortHash(directory)}`)
}

/**
 * Refuses a root filesystem that would lead the runtime out of it.
 *
 * @throws AioError ISOLATION_UNAVAILABLE that names the path.
 */
export async function checkRootfs(rootfs: string): Promise<void> {
  for (const mountpoint of MOUNTPOINTS) {
    const found = await lstat(join(rootfs, mountpoint)).catch(() => undefined)
    if (found === undefined || !found.isDirectory())
      throw refusal(rootfs, `/${mountpoint} is ${found === undefined ? 'missing' : 'not a directory'}`)
  }
  for (const entry of await readdir(join(rootfs, 'dev'), { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const to = await readlink(join(rootfs, 'dev', entry.name))
    if (HARMLESS_DEV_LINKS[entry.name] !== to) throw refusal(rootfs, `/dev/${entry.name} is a link to ${to}`)
  }
  const tini = await lstat(join(rootfs, 'usr/bin/tini')).catch(() => undefined)
  if (tini === undefined) throw refusal(rootfs, '/usr/bin/tini is missing')
}

async function bindRootfs(rootfsDir: string, path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 })
  if (isMounted(path)) {
    const [mounted, wanted] = await Promise.all([stat(path), stat(rootfsDir)])
    if (mounted.ino === wanted.ino && mounted.dev === wanted.dev) return
    await unmount(path)
  }
  await run('mount', ['--bind', '--', rootfsDir, path], { errorCode: 'ISOLATION_UNAVAILABLE' })
}

/** Running containers keep the skeleton they began with: an outdated one is moved aside, not changed. */
async function placeSkeleton(path: string): Promise<void> {
  const stampFile = `${path}.stamp`
  const stamp = createHash('sha256')
    .update(await skeletonStamp())
    .digest('hex')
  const old = await readFile(stampFile, 'utf8').catch(() => undefined)
  if (old === stamp && (await isDirectory(path))) return
  const fresh = `${path}.new`
  await rm(fresh, { recursive: true, force: true })
  await buildSkeleton(fresh)
  if (await isDirectory(path)) await rename(path, `${path}.${Date.now()}`)
  await rename(fresh, path)
  await writeFile(stampFile, stamp)
}

/**
 * Where runc finds root filesystems: AIO_RUN itself. runc 1.1 fails with "permission denied" when the container's user
 * cannot walk there, so where that is not possible it is `/run/aio-rootfs/{hash of AIO_RUN}`.
 */
async function reachablePlace(aioRun: string): Promise<string> {
  if ((await closedDirectory(aioRun)) === undefined) return aioRun
  const place = join(REACHABLE, shortHash(aioRun))
  await mkdir(place, { recursive: true, mode: 0o711 })
  const closed = await closedDirectory(place)
  if (closed !== undefined)
    throw new AioError(
      'ISOLATION_UNAVAILABLE',
      `${closed} cannot be entered by other users, so a container cannot reach its root filesystem below it. Run \`chmod o+x ${closed}\`, or set AIO_RUN to another place.`,
    )
  return place
}

/** The first directory on the way to a path that other users cannot enter. */
async function closedDirectory(path: string): Promise<string | undefined> {
  const above = path === '/' ? undefined : await closedDirectory(dirname(path))
  if (above !== undefined) return above
  return ((await stat(path)).mode & 0o001) === 0 ? path : undefined
}

async function assertProgram(path: string): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined)
    throw new AioError('ISOLATION_UNAVAILABLE', `${path} is missing. Install it: apt-get install -y tini`)
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

function refusal(rootfs: string, problem: string): AioError {
  return new AioError(
    'ISOLATION_UNAVAILABLE',
    `The root filesystem ${rootfs} cannot be used: ${problem}. Move it away to use the skeleton over this machine's /usr; \`aio rootfs build\` then makes a new one.`,
  )
}
