import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient } from '@ai-orchestration/sdk'

const root = join(import.meta.dirname, '../..')

/** How a run of the CLI ended. */
export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** The whole platform, started as a user does, in directories of its own. */
export interface Platform extends AsyncDisposable {
  /** Its own HOME. */
  home: string
  aioHome: string
  aioRun: string
  projectsDir: string
  port: number
  httpUrl: string
  wsUrl: string
  token: string
  /** What `aio up` printed so far. */
  output(): string
  /** Runs `aio` as a user of this platform. */
  aio(
    args: readonly string[],
    options?: { input?: string; env?: Record<string, string>; timeoutMs?: number },
  ): Promise<CliResult>
  /** Runs `aio … --json`. @throws when it fails. */
  json<T = Record<string, unknown>>(...args: string[]): Promise<T>
  /** A connected SDK client; close it. */
  client(): Client
  /** The process id of a service, from what the supervisor started. */
  pidOf(service: 'relay' | 'orchestrator'): Promise<number>
  health(): Promise<{ status: string; orchestrators: number; clients: number } | undefined>
  env: Record<string, string>
}

/**
 * Starts relay and orchestrator with `aio up` and waits until one orchestrator is there.
 *
 * @param prepare puts files into its AIO_HOME first.
 */
export async function startPlatform(
  extraEnv: Record<string, string> = {},
  prepare?: (aioHome: string) => Promise<void>,
): Promise<Platform> {
  const home = await mkdtemp(join(tmpdir(), 'aio-e2e-'))
  const port = await freePort()
  const token = randomBytes(24).toString('hex')
  const aioHome = join(home, '.local/share/ai-orchestration')
  const aioRun = join(home, 'run')
  const projectsDir = join(home, 'projects')
  const env: Record<string, string> = {
    // How this machine reaches the package registry may stand in its environment.
    ...machineEnv(),
    PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    PORT: String(port),
    AUTH_TOKEN: token,
    RELAY_URL: `ws://127.0.0.1:${port}/ws`,
    AIO_RUN: aioRun,
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    NO_COLOR: '1',
    ...extraEnv,
  }
  await mkdir(aioHome, { recursive: true, mode: 0o700 })
  await prepare?.(aioHome)
  let output = ''
  const up = spawn(process.execPath, [join(root, 'apps/cli/bin/aio.js'), 'up'], {
    cwd: home,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const log = createWriteStream(join(home, 'up.log'))
  for (const stream of [up.stdout, up.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString()
      log.write(data)
    })
  const httpUrl = `http://127.0.0.1:${port}`
  const health = async () => {
    try {
      const response = await fetch(`${httpUrl}/health`, { signal: AbortSignal.timeout(3_000) })
      return (await response.json()) as { status: string; orchestrators: number; clients: number }
    } catch {
      return undefined // not up yet, or down on purpose
    }
  }
  const platform: Platform = {
    home,
    aioHome,
    aioRun,
    projectsDir,
    port,
    httpUrl,
    wsUrl: env['RELAY_URL'] ?? '',
    token,
    env,
    output: () => output,
    health,
    aio: async (args, options = {}) => await runCli(args, { ...env, ...options.env }, home, options),
    json: async <T>(...args: string[]) => {
      const result = await runCli([...args, '--json'], env, home, {})
      if (result.code !== 0)
        throw new Error(`aio ${args.join(' ')} exited with ${result.code}: ${result.stdout}${result.stderr}`)
      return JSON.parse(result.stdout) as T
    },
    client: () => createClient({ url: env['RELAY_URL'] ?? '', token }),
    pidOf: async (service) => await childNamed(up, service),
    [Symbol.asyncDispose]: async () => {
      await stop(up)
      await removeSessions(aioRun, projectsDir)
      log.close()
      if (process.env['AIO_E2E_KEEP'] === undefined) await rm(home, { recursive: true, force: true })
    },
  }
  try {
    await until(
      async () => (await health())?.orchestrators === 1,
      60_000,
      () => `the platform did not come up:\n${output}`,
    )
    return platform
  } catch (error) {
    await platform[Symbol.asyncDispose]()
    throw error
  }
}

/** The environment of this process without what would reach into the platform under test. */
function machineEnv(): Record<string, string> {
  const own =
    /^(AIO_|AUTH_TOKEN|RELAY_URL|PORT$|HOST$|PROJECTS_DIR|ROOTFS_DIR|ORCHESTRATOR_NAME|ANTHROPIC_|CLAUDE_|LOG_LEVEL|ALLOWED_ORIGINS|VITEST|NODE_ENV|NODE_OPTIONS|TMUX)/
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !own.test(entry[0]),
    ),
  )
}

/** Waits until something holds. @throws with what `explain` says when it does not within the time. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  timeoutMs = 20_000,
  explain: () => string = () => 'it did not come to hold',
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(explain())
    await sleep(50)
  }
}

/** Makes a git repository with a few files, or many. @returns its path. */
export async function makeRepository(directory: string, files = 3): Promise<string> {
  const path = join(directory, `repo-${randomBytes(4).toString('hex')}`)
  await exec('git', ['init', '-q', '-b', 'main', path])
  for (let index = 0; index < files; index += 1)
    await writeFile(join(path, `file-${index}.txt`), `line ${index}\n`.repeat(20))
  await exec('git', ['-C', path, 'add', '-A'])
  await exec('git', ['-C', path, '-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '-qm', 'base'])
  return path
}

/** Runs a program on the host and gives its stdout. @throws when it fails. */
export async function exec(file: string, args: readonly string[], env?: Record<string, string>): Promise<string> {
  const result = await collect(
    spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(env === undefined ? {} : { env }) }),
    60_000,
  )
  if (result.code !== 0) throw new Error(`${file} ${args.join(' ')} exited with ${result.code}: ${result.stderr}`)
  return result.stdout
}

async function runCli(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
  options: { input?: string; timeoutMs?: number },
): Promise<CliResult> {
  const child = spawn(process.execPath, [join(root, 'apps/cli/bin/aio.js'), ...args], {
    cwd,
    env,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  if (options.input !== undefined) child.stdin?.end(options.input)
  return await collect(child, options.timeoutMs ?? 60_000)
}

async function collect(child: ChildProcess, timeoutMs: number): Promise<CliResult> {
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  } finally {
    clearTimeout(timer)
  }
}

async function childNamed(up: ChildProcess, service: string): Promise<number> {
  const children = (await readFile(`/proc/${up.pid}/task/${up.pid}/children`, 'utf8')).trim().split(' ').map(Number)
  for (const pid of children) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.includes(`apps/${service}/`)) return pid
  }
  throw new Error(`aio up has no child that is the ${service}`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  await Promise.race([ended, sleep(10_000)])
  child.kill('SIGKILL')
  await ended
}

/** Sessions outlive the platform by design; a test takes its own away. */
export async function removeSessions(aioRun: string, projectsDir: string): Promise<void> {
  const runc = ['--root', join(aioRun, 'runc')]
  const ids = await exec('runc', [...runc, 'list', '-q']).catch(() => '')
  for (const id of ids.split('\n').filter(Boolean)) await exec('runc', [...runc, 'delete', '-f', id]).catch(() => '')
  await exec('tmux', ['-S', join(aioRun, 'tmux.sock'), 'kill-server']).catch(() => '')
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  // Where an orchestrator puts root filesystems when AIO_RUN lies in a directory that others cannot enter.
  const rootfs = join('/run/aio-rootfs', createHash('sha256').update(aioRun).digest('hex').slice(0, 12))
  const isOwn = (path: string) => [projectsDir, aioRun, rootfs].some((directory) => path.startsWith(directory))
  for (const mount of mounts.filter(isOwn).reverse()) await exec('umount', ['-l', mount]).catch(() => '')
  await exec('rm', ['-rf', '--one-file-system', rootfs]).catch(() => '')
}

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
