import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
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
 * @param start starts the program once the file is open: what a child prints while nobody reads is lost when it ends.
 * @throws AioError EXEC_ERROR when the program cannot be started, and the error of the file.
 */
export async function copyOut(start: () => PipedChild, file: string): Promise<CopiedOut> {
  await using target = await open(file, 'wx', 0o600)
  const child = start()
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_MAX_CHARS)
  })
  child.stdin.end()
  const closed = once(child.process, 'close')
  try {
    const [copied, [exitCode]] = await Promise.all([copy(child.stdout, target), closed])
    await target.sync()
    return { ...copied, exitCode, stderr: stderr.trim() }
  } catch (error) {
    child.process.kill('SIGKILL')
    child.stdout.resume()
    await closed.catch(() => undefined)
    if (error instanceof Error && 'syscall' in error && `${error.syscall}`.startsWith('spawn'))
      throw new AioError('EXEC_ERROR', `A program could not be started: ${error.message}.`, { cause: error })
    throw error
  }
}

async function copy(from: Readable, target: FileHandle): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of from) {
    hash.update(chunk)
    bytes += chunk.length
    await target.writeFile(chunk)
  }
  return { sha256: hash.digest('hex'), bytes }
}
