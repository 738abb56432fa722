import { chown, mkdir, readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { pathExists } from '../disk/path-exists.ts'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import { run } from '../process/run.ts'
import type { Bind } from './container.ts'
import { inTurn } from './host-git.ts'
import { readOrUndefined } from './host-process.ts'
import { mountMapped } from './mapped-mounts.ts'
import { isMounted, unmount } from './mounts.ts'
import type { SessionRuntime } from './runtime.ts'
import type { ProjectSource } from './services.ts'
import { UID_BASE } from './uid-range.ts'

/** In a session's bundle: the directory of the root filesystem that its own layer lies on. */
const ROOTFS_FILE = 'rootfs'

/** The root filesystem of one session. */
export interface SessionRoot {
  /** Where runc finds it. */
  path: string
  binds: readonly Bind[]
  isWritable: boolean
}

/** The root filesystem that a session was first started on; `undefined` when that was the skeleton. */
export function rootfsOf(bundle: string): string | undefined {
  return readOrUndefined(join(bundle, ROOTFS_FILE))?.trim()
}

/**
 * Makes a session's root filesystem ready: the skeleton, read-only; or the built one below a layer of the session's own,
 * which stays until the session is removed. It keeps the one it began with, because its layer fits no other.
 *
 * @throws AioError ISOLATION_UNAVAILABLE when it cannot be mounted or is gone.
 */
export async function prepareRoot(runtime: SessionRuntime, id: string): Promise<SessionRoot> {
  const { bundle, rootLayer, uidBase, mapping } = runtime.paths(id)
  const { current } = runtime.rootfs
  // Its container has it mounted already, and a second overlay over the same layer would ruin it.
  if (runtime.store.get(id)?.group !== undefined && rootfsOf(bundle) !== undefined)
    return { path: runtime.rootfs.placeOf(id), binds: [], isWritable: true }
  const source = rootfsOf(bundle) ?? current.source
  if (source === undefined) return { path: current.path, binds: current.binds, isWritable: false }
  if (!(await pathExists(source)))
    throw new AioError(
      'ISOLATION_UNAVAILABLE',
      `The root filesystem ${source}, which ${id} began with, is gone. Bring it back, or continue its branch in a new session.`,
    )
  await writeFileDurably(join(bundle, ROOTFS_FILE), `${source}\n`, 0o600)
  const { path: lower } = source === current.source ? current : await runtime.rootfs.mount(source)
  const path = runtime.rootfs.placeOf(id)
  await inTurn(path, async () => {
    if (isMounted(path)) return
    await mkdir(path, { recursive: true, mode: 0o755 })
    for (const name of ['', 'upper', 'work']) await mkdir(join(rootLayer, name), { recursive: true, mode: 0o755 })
    await chown(join(rootLayer, 'upper'), UID_BASE, UID_BASE)
    if (uidBase !== UID_BASE) {
      await mountMapped(uidBase, [
        { type: 'overlay', lowers: [lower], layers: rootLayer, target: path, scratch: join(mapping, 'root') },
      ])
      return
    }
    const options = `nosuid,nodev,lowerdir=${lower},upperdir=upper,workdir=work`
    await run('mount', ['--no-mtab', '--types', 'overlay', '--options', options, 'aio', path], {
      cwd: rootLayer,
      errorCode: 'ISOLATION_UNAVAILABLE',
    })
  })
  return { path, binds: [], isWritable: true }
}

/** Takes a session's root filesystem away from where runc finds it; a container that runs keeps it. */
export async function unmountRoot(runtime: SessionRuntime, id: string): Promise<void> {
  const path = runtime.rootfs.placeOf(id)
  if (!(await pathExists(path))) return
  await unmount(path)
  // Only an empty directory: should the root still be mounted there, nothing of it may go.
  await rmdir(path)
}

/** The root filesystems that sessions of these projects lie on, running or not, also those that cannot be listed. */
export async function rootfsInUse(projects: ProjectSource): Promise<Set<string>> {
  const found = new Set<string>()
  for (const { id } of projects.list()) {
    const { bundles } = projects.paths(id)
    for (const name of await readdir(bundles)) {
      const source = rootfsOf(join(bundles, name))
      if (source !== undefined) found.add(source)
    }
  }
  return found
}
