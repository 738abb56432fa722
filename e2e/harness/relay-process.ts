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
  /** Asks it to stop, and resolves when it has. */
  stop(): Promise<void>
  /** Starts it again on the same port, in the same directory. */
  restart(): Promise<void>
  signal(signal: NodeJS.Signals): void
}

/** What a test may give a relay besides a directory, a token and a port. */
export interface RelayProcessOptions {
  env?: Record<string, string>
  /** Arguments of Node itself. */
  nodeArgs?: readonly string[]
}

/** Starts `apps/relay/src/main.ts` on a free port and waits until it listens. */
export async function startRelayProcess(options: RelayProcessOptions = {}): Promise<RelayProcess> {
  const aioHome = await mkdtemp(join(tmpdir(), 'aio-relay-'))
  const token = randomBytes(24).toString('hex')
  let running = await start(aioHome, token, 0, options)
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
    stop: async () => await end(running.child, 'SIGTERM'),
    restart: async () => {
      running = await start(aioHome, token, port, options)
    },
    signal: (signal) => void running.child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      await end(running.child, 'SIGKILL')
      await rm(aioHome, { recursive: true, force: true })
    },
  }
}

async function start(
  aioHome: string,
  token: string,
  port: number,
  { env = {}, nodeArgs = [] }: RelayProcessOptions,
): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [...nodeArgs, join(root, 'apps/relay/src/main.ts')], {
    env: {
      PATH: process.env['PATH'] ?? '',
      AIO_HOME: aioHome,
      AUTH_TOKEN: token,
      PORT: String(port),
      LOG_LEVEL: 'warn',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, url } = JSON.parse(line) as { event?: string; url?: string }
    if (event !== 'ready' || url === undefined) continue
    child.stdout.resume()
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
