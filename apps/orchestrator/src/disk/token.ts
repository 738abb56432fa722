import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import type { OrchestratorConfig } from '../config.ts'

/**
 * The token to present to the relay: AUTH_TOKEN, else the file that a relay on this machine has made.
 *
 * @throws AioError UNAUTHORIZED that says where a token can come from.
 */
export async function readToken(config: Pick<OrchestratorConfig, 'token' | 'aioHome'>): Promise<string> {
  if (config.token !== undefined) return config.token
  const path = join(config.aioHome, 'token')
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw new AioError(
      'UNAUTHORIZED',
      `There is no token: AUTH_TOKEN is not set and ${path} does not exist. Set AUTH_TOKEN to the relay's, or start the relay on this machine first.`,
      { cause: error },
    )
  }
}
