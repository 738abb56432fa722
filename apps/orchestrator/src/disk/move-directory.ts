import { rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { run } from '../process/run.ts'
import { syncDirectory } from './write-file-durably.ts'

/**
 * Moves a directory, also to another file system. It is whole at one place or the other at any moment: a copy appears
 * under its name once all of it is on disk, and only then is the first one removed.
 *
 * @throws AioError EXEC_ERROR when the copy cannot be made, for example because the disk is full; nothing has moved then.
 */
export async function moveDirectory(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error
    const unfinished = join(dirname(to), `.making-${basename(to)}`)
    try {
      await run('cp', ['-a', '--', from, unfinished])
      await run('sync', ['--file-system', '--', unfinished])
      await rename(unfinished, to)
    } catch (failed) {
      await run('rm', ['-rf', '--one-file-system', '--', unfinished])
      throw failed
    }
    await syncDirectory(dirname(to))
    await run('rm', ['-rf', '--one-file-system', '--', from])
  }
}
