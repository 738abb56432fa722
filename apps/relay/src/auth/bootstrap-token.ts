import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, LIMITS } from '@ai-orchestration/protocol'
import { readIfPresent } from '../disk/read-if-present.ts'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import { isLoopback } from '../edge/addresses.ts'

/**
 * The AUTH_TOKEN of this relay: the one given, else the one kept in `$AIO_HOME/token`, else a new one that is kept there.
 *
 * @throws AioError when the relay would listen beyond loopback and nobody has chosen or seen a token yet.
 */
export async function bootstrapToken(options: {
  aioHome: string
  host: string
  given: string | undefined
}): Promise<string> {
  await mkdir(options.aioHome, { recursive: true, mode: 0o700 })
  if (options.given !== undefined) return options.given
  const path = join(options.aioHome, 'token')
  const kept = (await readIfPresent(path))?.trim()
  if (kept !== undefined) {
    if (kept.length >= LIMITS.authTokenMinChars) return kept
    throw new AioError(
      'INVALID_INPUT',
      `The token in ${path} has fewer than ${LIMITS.authTokenMinChars} characters. Remove the file to have a new one made, or set AUTH_TOKEN.`,
    )
  }
  if (!isLoopback(options.host))
    throw new AioError(
      'INVALID_INPUT',
      `HOST=${options.host} would let other machines in, and this relay has no token yet. Set AUTH_TOKEN (for example to the output of: openssl rand -base64 32), or start it once with HOST=127.0.0.1, which makes one in ${path}.`,
    )
  const made = randomBytes(32).toString('base64url')
  await writeFileDurably(path, `${made}\n`)
  return made
}
