import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { AioError, describeIssues, isolationSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { formatTarget, parseTarget } from './door/target.ts'
import { RUNTIME_NAMES, type RuntimeName } from './runtime/container-runtime.ts'

// Paths under AIO_RUN stand in a shell string of tmux's (pipe-pane), where only these characters are inert.
const INERT_PATH = /^\/[A-Za-z0-9/._-]*$/

const absolute = z.string().refine((path) => path.startsWith('/'), { error: 'must be an absolute path' })

/** Every variable the orchestrator reads, each with one sentence. */
export const environmentSchema = z.object({
  RELAY_URL: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .describe(
      "The relay's WebSocket URL; when absent, that of the relay it was enrolled at, else ws://localhost:3000/ws.",
    ),
  ENROLL_CODE: z
    .string()
    .min(1)
    .optional()
    .describe('Code to join the relay with, used once; `aio orchestrator --enroll` sets it.'),
  AUTH_TOKEN: z.string().optional().describe('Token presented to the relay; else the one under AIO_HOME is used.'),
  ORCHESTRATOR_NAME: z.string().min(1).max(100).optional().describe('Name shown to people; the hostname when absent.'),
  PROJECTS_DIR: absolute.optional().describe('Root of all projects; ~/projects when absent.'),
  ROOTFS_DIR: absolute
    .optional()
    .describe('Root filesystem of containers; when absent, the skeleton over /usr of this machine is used.'),
  AIO_HOME: absolute
    .optional()
    .describe('Databases, journals, tokens and caches; ~/.local/share/ai-orchestration when absent.'),
  AIO_RUN: absolute
    .refine((path) => INERT_PATH.test(path) && path.length <= 60, {
      error: 'must be a path of at most 60 letters, digits, dots, dashes and underscores',
    })
    .optional()
    .describe(
      'What must vanish at a reboot: tmux socket, runc state, pids; /run/aio as root, else $XDG_RUNTIME_DIR/aio.',
    ),
  XDG_RUNTIME_DIR: absolute.optional().describe('Where AIO_RUN is put without root.'),
  HOME: absolute.describe('Home directory, from which the defaults above are made.'),
  AIO_ISOLATION: isolationSchema
    .default('full')
    .describe('`degraded` lets sessions start when an isolation cannot be set up; every client shows it.'),
  AIO_RUNTIME: z
    .enum(RUNTIME_NAMES)
    .optional()
    .describe(
      'What runs containers: `runc`, `runc-rootless` or `bubblewrap`; the best that works when absent. Others than `runc` need AIO_ISOLATION=degraded.',
    ),
  AIO_REQUIRE_PATCHED_RUNTIME: z
    .enum(['0', '1'])
    .default('0')
    .describe('1 refuses to run sessions on a runc without the fixes of November 2025.'),
  AIO_IDLE_PAUSE_MS: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('Pause a session in which nothing has happened for so many milliseconds; 0 never does.'),
  ANTHROPIC_API_KEY: z
    .string()
    .min(1)
    .optional()
    .describe('Real credential for the model gateway; never enters a container.'),
  CLAUDE_CODE_OAUTH_TOKEN: z
    .string()
    .min(1)
    .optional()
    .describe('Real credential for the model gateway; never enters a container.'),
  ANTHROPIC_BASE_URL: z
    .url({ protocol: /^https?$/ })
    .default('https://api.anthropic.com')
    .describe('Upstream of the model gateway.'),
  AIO_ARCHIVE_DAYS: z.coerce
    .number()
    .int()
    .min(30, { error: 'must be 30 or more' })
    .max(36_500)
    .default(90)
    .describe('Archives of removed sessions and projects are kept for so many days, at least 30.'),
  EGRESS_ALLOW_ADDRESSES: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((entry) => entry.trim())
        .filter((entry) => entry !== ''),
    )
    .pipe(
      z.array(
        z.string().refine((entry) => parseTarget(entry)?.isAddress === true, {
          error: 'must be addresses with a port, such as 192.168.1.5:8080, split by commas',
        }),
      ),
    )
    .describe(
      'Private addresses that sessions may reach all the same when a list names them: address:port, split by commas.',
    ),
  AIO_SUPERVISED: z.enum(['0', '1']).default('0').describe('Set by `aio up`: stop when stdin ends.'),
  DRAIN_MS: z.coerce
    .number({ error: 'must be a number of milliseconds, such as 3000' })
    .int()
    .min(0)
    .max(600_000)
    .default(3_000)
    .describe('How long commands that run may take to end when it is told to stop, in milliseconds.'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('How much is logged.'),
})

/** The orchestrator's settings, read once at start. */
export interface OrchestratorConfig {
  /** When absent, that of the relay it was enrolled at is used, or the default. */
  relayUrl: string | undefined
  /** A code to enroll with; one that was used here already is ignored. */
  enrollCode: string | undefined
  /** From AUTH_TOKEN; when absent, the token file under `aioHome` is read at each connect. */
  token: string | undefined
  name: string
  aioHome: string
  aioRun: string
  projectsDir: string
  /** Used when it exists; else sessions run on the skeleton over this machine's /usr. */
  rootfsDir: string
  isolation: 'full' | 'degraded'
  /** What runs containers; the best that works when absent. */
  runtime: RuntimeName | undefined
  /** How long what was removed is kept, in days. */
  archiveDays: number
  /** Refuse to run sessions on a runc without the fixes of November 2025. */
  requirePatchedRuntime: boolean
  /** A session in which nothing has happened for so long is paused, in milliseconds; 0 for never. */
  idlePauseMs: number
  /** How long commands that run may take to end when it is told to stop, in milliseconds. */
  drainMs: number
  logLevel: string
  /** Started by a supervisor: stop when its end of our stdin closes. */
  isSupervised: boolean
  /** `address:port` in the spelling of the door: exceptions from the addresses that no session may reach. */
  egressAllowAddresses: readonly string[]
  gateway: { apiKey: string | undefined; oauthToken: string | undefined; upstream: string }
  /** A variable that a project's secret may be read from; `undefined` for those that are settings of the platform. */
  secretVariable: (name: string) => string | undefined
}

/**
 * Reads the settings from the environment; an empty variable counts as absent.
 *
 * @throws AioError INVALID_INPUT that names each wrong variable.
 */
export function loadConfig(env: Record<string, string | undefined>): OrchestratorConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = environmentSchema.safeParse(given)
  if (!parsed.success)
    throw new AioError('INVALID_INPUT', `A setting of the orchestrator is not valid. ${describeIssues(parsed.error)}`)
  const { data } = parsed
  const aioHome = resolve(data.AIO_HOME ?? join(data.HOME, '.local/share/ai-orchestration'))
  const rootfsDir = data.ROOTFS_DIR ?? join(aioHome, 'rootfs')
  return {
    relayUrl: data.RELAY_URL,
    enrollCode: data.ENROLL_CODE,
    token: data.AUTH_TOKEN,
    name: data.ORCHESTRATOR_NAME ?? hostname(),
    aioHome,
    aioRun: resolve(data.AIO_RUN ?? defaultRun(data.XDG_RUNTIME_DIR)),
    projectsDir: resolve(data.PROJECTS_DIR ?? join(data.HOME, 'projects')),
    rootfsDir: resolve(rootfsDir),
    isolation: data.AIO_ISOLATION,
    runtime: data.AIO_RUNTIME,
    archiveDays: data.AIO_ARCHIVE_DAYS,
    requirePatchedRuntime: data.AIO_REQUIRE_PATCHED_RUNTIME === '1',
    idlePauseMs: data.AIO_IDLE_PAUSE_MS,
    drainMs: data.DRAIN_MS,
    logLevel: data.LOG_LEVEL,
    isSupervised: data.AIO_SUPERVISED === '1',
    egressAllowAddresses: data.EGRESS_ALLOW_ADDRESSES.flatMap((entry) => {
      const target = parseTarget(entry)
      return target === undefined ? [] : [formatTarget(target)]
    }),
    gateway: {
      apiKey: data.ANTHROPIC_API_KEY,
      oauthToken: data.CLAUDE_CODE_OAUTH_TOKEN,
      upstream: data.ANTHROPIC_BASE_URL.replace(/\/+$/, ''),
    },
    // The credentials among them never enter a container, whatever a project says.
    secretVariable: (name) => (Object.hasOwn(environmentSchema.shape, name) ? undefined : env[name]),
  }
}

function defaultRun(xdgRuntimeDir: string | undefined): string {
  if (process.getuid?.() === 0) return '/run/aio'
  if (xdgRuntimeDir === undefined)
    throw new AioError(
      'INVALID_INPUT',
      'Neither AIO_RUN nor XDG_RUNTIME_DIR is set, and this is not root. Set AIO_RUN to a directory that vanishes at a reboot.',
    )
  return join(xdgRuntimeDir, 'aio')
}
