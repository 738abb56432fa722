import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, orchestratorIdSchema } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { writeFileDurably } from './write-file-durably.ts'

/**
 * Reads this orchestrator's id, or makes one at the first start.
 *
 * @throws AioError INVALID_INPUT when the file does not hold an id.
 */
export async function readIdentity(aioHome: string): Promise<string> {
  const directory = join(aioHome, 'orchestrator')
  const path = join(directory, 'id')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    text = ulid()
    await writeFileDurably(path, `${text}\n`, 0o600)
  }
  if (!orchestratorIdSchema.safeParse(text).success)
    throw new AioError(
      'INVALID_INPUT',
      `${path} does not hold an orchestrator id. Restore it from a backup; only if this machine has no sessions, remove it.`,
    )
  return text
}
