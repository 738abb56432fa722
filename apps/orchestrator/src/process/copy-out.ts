import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { AioError } from '@ai-orchestration/protocol'
import type { PipedChild } from './spawn-piped.ts'

/** Most that is kept of what a program complains about, in characters. */
const STDERR_MAX_CHARS = 2_000

/** What a program wrote, and how it ended. */
export interface CopiedOut {
  /** Of what it wrote. */
  sha256: string
  bytes: number
  exitCode: number | null
  stderr: string
}

/**
 * Writes what a program prints to a new file and syncs it. A file that cannot take it all, as on a full disk, ends the
 * program.
 *
 * @throws AioError EXEC_ERROR when the program cannot be started, and the error of the file.
 */
export async function copyOut(child: PipedChild, file: string): Promise<CopiedOut> {
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_MAX_CHARS)
  })
  child.stdin.end()
  const closed = once(child.process, 'close')
  try {
    const hash = createHash('sha256')
    let bytes = 0
    // Listened to before the file is opened: what a child prints while nobody reads is thrown away when it ends.
    const chunks = child.stdout[Symbol.asyncIterator]()
    await using target = await open(file, 'wx', 0o600)
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      hash.update(next.value)
      bytes += next.value.length
      await target.writeFile(next.value)
    }
    await target.sync()
    const [exitCode] = await closed
    return { sha256: hash.digest('hex'), bytes, exitCode, stderr: stderr.trim() }
  } catch (error) {
    child.process.kill('SIGKILL')
    await closed.catch(() => undefined)
    if (error instanceof Error && 'syscall' in error && `${error.syscall}`.startsWith('spawn'))
      throw new AioError('EXEC_ERROR', `A program could not be started: ${error.message}.`, { cause: error })
    throw error
  }
}
