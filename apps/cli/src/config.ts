import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { AioError, describeIssues } from '@ai-orchestration/protocol'
import { z } from 'zod'

/** Every variable the CLI reads, each with one sentence. */
export const environmentSchema = z.object({
  RELAY_URL: z.string().optional().describe('Address of the relay.'),
  AUTH_TOKEN: z.string().optional().describe('Token presented to the relay.'),
  AIO_HOME: z
    .string()
    .optional()
    .describe('Where logins, tokens and logs are kept; ~/.local/share/ai-orchestration when absent.'),
  HOST: z.string().optional().describe('Address the relay of `aio up` listens on.'),
  NO_COLOR: z.string().optional().describe('Turns colours off when it is not empty.'),
})

/** The CLI's settings. */
export interface CliConfig {
  relayUrl: string | undefined
  token: string | undefined
  aioHome: string
  host: string
  canColour: boolean
}

/**
 * Reads the settings from the environment; an empty variable counts as absent.
 *
 * @throws AioError INVALID_INPUT that names a wrong variable.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env): CliConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = environmentSchema.safeParse(given)
  if (!parsed.success) throw new AioError('INVALID_INPUT', `A setting is not valid. ${describeIssues(parsed.error)}`)
  const { data } = parsed
  return {
    relayUrl: data.RELAY_URL,
    token: data.AUTH_TOKEN,
    aioHome: resolve(data.AIO_HOME ?? join(homedir(), '.local/share/ai-orchestration')),
    host: data.HOST ?? '127.0.0.1',
    canColour: data.NO_COLOR === undefined,
  }
}
