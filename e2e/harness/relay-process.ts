import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '../..')

/** A relay as its own process, without an orchestrator, in a directory of its own. */
export interface RelayProcess extends AsyncDisposable {
  readonly aioHome: string
  readonly token: string
  readonly port: number
  readonly wsUrl: string
  readonly pid: number
  /** Kills it without a word, as a crash does. */
  kill(): Promise<void>
  /** Tells it to stop and waits until it has. @returns its exit status. */
  stop(): Promise<number | null>
  /** Starts it again on the same port, in the same directory. */
  restart(): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** What it has said on stderr, over all its runs; only when its LOG_LEVEL was given. */
  output(): string
}

/** What a test may give a relay besides a directory, a token and a port. */
export interface RelayProcessOptions {
  env?: Record<string, string>
  /** Arguments of Node itself. */
  nodeArgs?: readonly string[]
  /** Where it keeps its things; a directory of its own when absent. */
  aioHome?: string
  /** A program that becomes the relay, such as `prlimit`, and its arguments. */
  through?: readonly string[]
}

/** Starts `apps/relay/src/main.ts` on a free port and waits until it listens. */
export async function startRelayProcess(options: RelayProcessOptions = {}): Promise<RelayProcess> {
  const { env = {}, nodeArgs = [], through = [] } = options
  const aioHome = options.aioHome ?? (await mkdtemp(join(tmpdir(), 'aio-relay-')))
  const token = randomBytes(24).toString('hex')
  let output = ''
  const say = (text: string) => {
    output += text
  }
  const how = { aioHome, token, env, nodeArgs, through, say }
  let running = await start({ ...how, port: 0 })
  const { port } = running
  return {
    aioHome,
    token,
    port,
    wsUrl: `ws://127.0.0.1:${port}/ws`,
    get pid() {
      return running.child.pid ?? 0
    },
    kill: async () => await end(running.child, 'SIGKILL'),
    stop: async () => {
      await end(running.child, 'SIGTERM')
      return running.child.exitCode
    },
    restart: async () => {
      running = await start({ ...how, port })
    },
    output: () => output,
    signal: (signal) => void running.child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      await end(running.child, 'SIGKILL')
      if (options.aioHome === undefined) await rm(aioHome, { recursive: true, force: true })
    },
  }
}

interface StartOptions {
  aioHome: string
  token: string
  port: number
  env: Record<string, string>
  nodeArgs: readonly string[]
  through: readonly string[]
  say: (text: string) => void
}

async function start({
  aioHome,
  token,
  port,
  env,
  nodeArgs,
  through,
  say,
}: StartOptions): Promise<{ child: ChildProcess; port: number }> {
  const main = join(root, 'apps/relay/src/main.ts')
  const [program = process.execPath, ...args] = [...through, process.execPath, ...nodeArgs, main]
  const child = spawn(program, args, {
    env: {
      PATH: process.env['PATH'] ?? '',
      AIO_HOME: aioHome,
      AUTH_TOKEN: token,
      PORT: String(port),
      LOG_LEVEL: 'warn',
      ...env,
    },
    stdio: ['ignore', 'pipe', env['LOG_LEVEL'] === undefined ? 'inherit' : 'pipe'],
  })
  child.stderr?.setEncoding('utf8').on('data', say)
  const { stdout } = child
  if (stdout === null) throw new Error('the relay has no stdout')
  for await (const line of createInterface({ input: stdout })) {
    const { event, url } = JSON.parse(line) as { event?: string; url?: string }
    if (event !== 'ready' || url === undefined) continue
    stdout.resume()
    return { child, port: Number(new URL(url).port) }
  }
  throw new Error('the relay ended before it listened')
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}
