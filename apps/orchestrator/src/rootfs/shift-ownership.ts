import { lchown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UID_BASE } from '../session/uid-range.ts'

/** Bytes per block as `stat` counts them, whatever the file system's own block size is. */
const BLOCK_BYTES = 512

/**
 * Gives every file of a tree to the same user inside containers that it belongs to outside: root's become those of the
 * containers' root. What is shifted already stays, so that a file with two names is shifted, and counted, once. The
 * kernel takes the set-user-id bit and capabilities off a program whose owner changes; neither has a use inside.
 *
 * @returns the space on disk of what was shifted, in bytes.
 */
export async function shiftOwnership(path: string): Promise<number> {
  const found = await lstat(path)
  const isShifted = found.uid >= UID_BASE
  if (!isShifted) await lchown(path, UID_BASE + found.uid, UID_BASE + found.gid)
  let bytes = isShifted ? 0 : found.blocks * BLOCK_BYTES
  if (found.isDirectory()) for (const name of await readdir(path)) bytes += await shiftOwnership(join(path, name))
  return bytes
}
