import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { LIMITS } from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { CallsPerSecond } from './auth/call-rates.ts'
import type { EventRetention } from './store/messages.ts'

const EVENTS_MAX = 20_000_000 // each has an entry of some bytes beside its text, which the limit by size does not see

const originSchema = z.string().refine((text) => URL.canParse(text) && new URL(text).origin === text, {
  error: 'ALLOWED_ORIGINS is a list of exact origins such as https://aio.example.org, split by commas.',
})

const environmentSchema = z.object({
  PORT: z.coerce
    .number({ error: 'PORT must be a number from 0 to 65535; 0 picks a free one.' })
    .int()
    .min(0)
    .max(65_535, { error: 'PORT must be a number from 0 to 65535; 0 picks a free one.' })
    .default(3000),
  HOST: z.string().min(1).default('127.0.0.1'),
  AUTH_TOKEN: z
    .string()
    .min(LIMITS.authTokenMinChars, {
      error: `AUTH_TOKEN has fewer than ${LIMITS.authTokenMinChars} characters. Make one with: openssl rand -base64 32`,
    })
    .optional(),
  ALLOWED_ORIGINS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(originSchema)),
  AIO_HOME: z.string().min(1).optional(),
  JOURNAL_MAX_DAYS: z.coerce
    .number({ error: 'JOURNAL_MAX_DAYS must be a number of days, such as 7.' })
    .positive({ error: 'JOURNAL_MAX_DAYS must be more than 0.' })
    .default(7),
  JOURNAL_MAX_MIB: z.coerce
    .number({ error: 'JOURNAL_MAX_MIB must be a number of MiB, such as 1024.' })
    .positive({ error: 'JOURNAL_MAX_MIB must be more than 0.' })
    .default(1024),
  DRAIN_MS: z.coerce
    .number({ error: 'DRAIN_MS must be a number of milliseconds, such as 3000.' })
    .int()
    .min(0, { error: 'DRAIN_MS must be 0 or more.' })
    .max(600_000, { error: 'DRAIN_MS must be at most 600000, which is ten minutes.' })
    .default(3_000),
  CALLS_PER_SECOND: z.coerce
    .number({ error: 'CALLS_PER_SECOND must be a number, such as 1000.' })
    .positive({ error: 'CALLS_PER_SECOND must be more than 0.' })
    .default(1_000),
  CALLS_PER_SECOND_PER_ADDRESS: z.coerce
    .number({ error: 'CALLS_PER_SECOND_PER_ADDRESS must be a number, such as 50000.' })
    .positive({ error: 'CALLS_PER_SECOND_PER_ADDRESS must be more than 0.' })
    .default(50_000),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'LOG_LEVEL is one of fatal, error, warn, info, debug, trace, silent.',
    })
    .default('info'),
  WEB_DIR: z.string().min(1).optional(),
  AIO_SUPERVISED: z.string().optional(),
})

/** Everything the relay is told from outside. */
export interface RelayConfig {
  port: number
  host: string
  /** As given by the environment; when absent, the one kept under `aioHome` is used or made. */
  authToken: string | undefined
  allowedOrigins: readonly string[]
  aioHome: string
  /** How much of the events is kept (E-2). */
  retention: EventRetention
  /** How long calls that are under way may take to end when the relay stops, in milliseconds. */
  drainMs: number
  callsPerSecond: CallsPerSecond
  logLevel: string
  /** The exported web app. */
  webDir: string
  /** True when a parent process started it: the end of stdin then means to stop. */
  isSupervised: boolean
}

/**
 * Reads the configuration from the environment.
 *
 * @throws z.ZodError that says which variable is wrong and what it may be.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): RelayConfig {
  // An empty variable counts as absent, as shells and compose files write it.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const parsed = environmentSchema.parse(given)
  return {
    port: parsed.PORT,
    host: parsed.HOST,
    authToken: parsed.AUTH_TOKEN,
    allowedOrigins: parsed.ALLOWED_ORIGINS,
    aioHome: resolve(parsed.AIO_HOME ?? join(homedir(), '.local/share/ai-orchestration')),
    retention: {
      maxEvents: EVENTS_MAX,
      maxBytes: parsed.JOURNAL_MAX_MIB * 1024 * 1024,
      maxAgeMs: parsed.JOURNAL_MAX_DAYS * 24 * 3_600_000,
    },
    drainMs: parsed.DRAIN_MS,
    callsPerSecond: { perToken: parsed.CALLS_PER_SECOND, perAddress: parsed.CALLS_PER_SECOND_PER_ADDRESS },
    logLevel: parsed.LOG_LEVEL,
    webDir: resolve(parsed.WEB_DIR ?? join(import.meta.dirname, '../../web/out')),
    isSupervised: parsed.AIO_SUPERVISED === '1',
  }
}
