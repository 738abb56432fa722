import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AioError } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'

/**
 * `aio backup <file>`: a copy of the relay's database as of one moment, also while the relay runs. A relay that is started on it
 * begins a new numbering of events, so that nobody resumes over what happened after the copy was made.
 *
 * @throws AioError NOT_FOUND, CONFLICT
 */
export async function backUp(cli: Cli, file: string): Promise<void> {
  const source = join(cli.config.aioHome, 'relay/relay.db')
  const path = resolve(file)
  if (!existsSync(source))
    throw new AioError(
      'NOT_FOUND',
      `There is no relay's database at ${source}. Run this on the relay's machine, with its AIO_HOME.`,
    )
  if (existsSync(path)) throw new AioError('CONFLICT', `${path} is there already. Name a file that is not.`)
  const unfinished = `${path}.unfinished`
  try {
    closeSync(openSync(unfinished, 'wx', 0o600)) // it holds what everybody did, and hashes of tokens
    copy(source, unfinished)
    renameSync(unfinished, path)
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw error
  }
  cli.out.result({ file: path }, () => `The relay's database is in ${path}. docs/operations.md says how to restore it.`)
}

function copy(source: string, target: string): void {
  const database = new DatabaseSync(source, { readOnly: true, timeout: 5_000 })
  try {
    database.prepare('VACUUM INTO ?').run(target)
  } finally {
    database.close()
  }
  const made = new DatabaseSync(target)
  try {
    const [found] = made.prepare('PRAGMA integrity_check').all()
    if (found?.['integrity_check'] !== 'ok')
      throw new AioError(
        'INTERNAL',
        `The copy is damaged, as the database may be: ${String(found?.['integrity_check'])}`,
      )
    made.exec("DELETE FROM meta WHERE key IN ('epoch', 'origin')")
  } finally {
    made.close()
  }
}
