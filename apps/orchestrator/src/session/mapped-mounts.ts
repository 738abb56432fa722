import { mkdir, mkdtemp, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import { unmount } from './mounts.ts'
import { UID_BASE, UID_COUNT } from './uid-range.ts'

const PROGRAM = fileURLToPath(new URL('./mount-mapped.pl', import.meta.url))

/** Numbers of `unshare`, `mount` and `umount2`, which each architecture has its own of. */
const SYSTEM_CALLS: Partial<Record<NodeJS.Architecture, readonly number[]>> = {
  x64: [272, 165, 166],
  arm64: [97, 40, 39],
}

/** A bind of a directory, or an overlay of directories, all seen with their owners mapped. */
export type MappedMount =
  | { type: 'bind'; source: string; target: string }
  | {
      type: 'overlay'
      /** The upper one first. */
      lowers: readonly string[]
      /** Holds the overlay's `upper` and `work`. */
      layers: string
      target: string
      scratch: string
    }

/**
 * Mounts what belongs to the common range of user ids on disk so that it belongs to another one where it is mounted.
 *
 * @throws AioError ISOLATION_UNAVAILABLE with the kernel's own reason.
 */
export async function mountMapped(uidBase: number, mounts: readonly MappedMount[]): Promise<void> {
  const calls = SYSTEM_CALLS[process.arch]
  if (calls === undefined) throw new AioError('ISOLATION_UNAVAILABLE', `Ids cannot be mapped on ${process.arch}.`)
  for (const mount of mounts)
    for (const target of mount.type === 'bind'
      ? [mount.target]
      : scratchNames(mount.lowers).map((name) => join(mount.scratch, name)))
      await mkdir(target, { recursive: true, mode: 0o711 })
  const jobs = mounts.flatMap((mount) =>
    mount.type === 'bind'
      ? ['bind', mount.source, mount.target]
      : ['overlay', mount.target, mount.scratch, mount.layers, String(mount.lowers.length), ...mount.lowers],
  )
  const numbers = [...calls, UID_BASE, uidBase, UID_COUNT].map(String)
  try {
    await run('perl', [PROGRAM, ...numbers, ...jobs], { errorCode: 'ISOLATION_UNAVAILABLE', timeoutMs: 20_000 })
  } finally {
    for (const mount of mounts) if (mount.type === 'overlay') await rmdirs(mount.scratch, mount.lowers)
  }
}

/** Where `mount-mapped.pl` mounts the layers for a moment. */
function scratchNames(lowers: readonly string[]): string[] {
  return ['layers', ...lowers.map((_, index) => `lower${index}`)]
}

/** Only empty directories: should a layer still be mounted there, nothing of it may go. */
async function rmdirs(scratch: string, lowers: readonly string[]): Promise<void> {
  for (const name of [...scratchNames(lowers), '']) await rmdir(join(scratch, name))
}

/**
 * Tells whether sessions can have a range of user ids each, by mounting an overlay with mapped layers in this directory.
 *
 * @returns `undefined` when they can, else the reason.
 */
export async function whyUnmappable(directory: string): Promise<string | undefined> {
  const place = await mkdtemp(join(directory, '.probe-'))
  const [base, layers, target, scratch] = ['base', 'layers', 'target', 'scratch'].map((name) => join(place, name))
  if (base === undefined || layers === undefined || target === undefined || scratch === undefined) return undefined
  const uidBase = UID_BASE + UID_COUNT
  try {
    for (const path of [base, join(layers, 'upper'), join(layers, 'work'), target])
      await mkdir(path, { recursive: true })
    await run('chown', [String(UID_BASE), join(layers, 'upper')])
    await mountMapped(uidBase, [{ type: 'overlay', lowers: [base], layers, target, scratch }])
    const { uid } = await stat(target)
    return uid === uidBase ? undefined : 'the kernel did not map the owners of a mounted directory'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await unmount(target)
    await rm(place, { recursive: true, force: true })
  }
}
