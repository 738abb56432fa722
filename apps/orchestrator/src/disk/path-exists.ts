import { stat } from 'node:fs/promises'

/** Tells whether there is something at a path. @throws the system's error when that cannot be known. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
