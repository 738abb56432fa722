import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { writeFileDurably } from '../disk/write-file-durably.ts'

const enrolledSchema = z.object({
  /** The relay it belongs to; its token is shown to no other. */
  relayUrl: z.string(),
  orchestratorId: z.string(),
  token: z.string(),
  /** Ed25519, PKCS 8 as PEM. */
  privateKey: z.string(),
  /** SHA-256 of the code it came from, so that a restart with the same code does not try it again. */
  codeHash: z.string(),
})
/** What a machine was given when it was enrolled. */
export type Enrolled = z.infer<typeof enrolledSchema>

/** Reads what this machine was enrolled with, if it was. @throws AioError INVALID_INPUT when the file is damaged. */
export async function readEnrolled(aioHome: string): Promise<Enrolled | undefined> {
  const path = pathIn(aioHome)
  try {
    return enrolledSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new AioError('INVALID_INPUT', `${path} is damaged. Remove it, and enroll this machine again.`, {
      cause: error,
    })
  }
}

/** Keeps it, for this user's eyes only. */
export async function writeEnrolled(aioHome: string, enrolled: Enrolled): Promise<void> {
  await writeFileDurably(pathIn(aioHome), `${JSON.stringify(enrolled, undefined, 2)}\n`, 0o600)
}

function pathIn(aioHome: string): string {
  return join(aioHome, 'orchestrator', 'host.json')
}
