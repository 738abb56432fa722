import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeSessions } from './platform.ts'

const root = join(import.meta.dirname, '../..')

/** An orchestrator as its own process, without a supervisor, in directories of its own. */
export interface OrchestratorProcess extends AsyncDisposable {
  readonly home: string
  readonly aioHome: string
  readonly aioRun: string
  readonly projectsDir: string
  readonly pid: number
  /** What it has said on stderr, over all its runs. */
  output(): string
  /** Starts it. Whoever needs it waits for the relay to list it. */
  start(): void
  /** Tells it to stop and waits until it has. @returns its exit status. */
  stop(): Promise<number | null>
  /** Kills it without a word, as a crash does. */
  kill(): Promise<void>
  /** Resolves with its exit status when it ends by itself. */
  ended(): Promise<number | null>
}

/** What a test may give an orchestrator besides its directories. */
export interface OrchestratorProcessOptions {
  env?: Record<string, string>
  /** Arguments of Node itself. */
  nodeArgs?: readonly string[]
  /** A program that becomes the orchestrator, such as one that enters a namespace, and its arguments. */
  through?: readonly string[]
}

/** Prepares `apps/orchestrator/src/main.ts` for a relay; {@link OrchestratorProcess.start} starts it. */
export async function orchestratorFor(
  relay: { wsUrl: string; token: string },
  { env = {}, nodeArgs = [], through = [] }: OrchestratorProcessOptions = {},
): Promise<OrchestratorProcess> {
  const home = await mkdtemp(join(tmpdir(), 'aio-orc-'))
  await chmod(home, 0o711)
  const [aioHome, aioRun, projectsDir] = [join(home, 'aio'), join(home, 'run'), join(home, 'projects')]
  let child: ChildProcess | undefined
  let ended: Promise<number | null> = Promise.resolve(null)
  let output = ''
  const kill = async () => {
    child?.kill('SIGKILL')
    await ended
  }
  return {
    home,
    aioHome,
    aioRun,
    projectsDir,
    get pid() {
      return child?.pid ?? 0
    },
    output: () => output,
    start: () => {
      const argv = [...through, process.execPath, ...nodeArgs, join(root, 'apps/orchestrator/src/main.ts')]
      const started = spawn(argv[0] ?? process.execPath, argv.slice(1), {
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: home,
          AIO_HOME: aioHome,
          AIO_RUN: aioRun,
          PROJECTS_DIR: projectsDir,
          RELAY_URL: relay.wsUrl,
          AUTH_TOKEN: relay.token,
          LANG: 'C.UTF-8',
          ...env,
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      started.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
      ended = new Promise((resolve) => started.once('exit', (code) => resolve(code)))
      child = started
    },
    stop: async () => {
      child?.kill('SIGTERM')
      return await ended
    },
    kill,
    ended: () => ended,
    [Symbol.asyncDispose]: async () => {
      await kill()
      await removeSessions(aioRun, projectsDir)
      if (process.env['AIO_E2E_KEEP'] === undefined) await rm(home, { recursive: true, force: true })
    },
  }
}
