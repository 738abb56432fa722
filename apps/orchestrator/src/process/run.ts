import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { AioError, type ErrorCode } from '@ai-orchestration/protocol'
import { $, type ProcessPromise } from 'zx/core'

/** How a program is started. */
export interface RunOptions {
  cwd?: string
  /** The whole environment; when absent, the orchestrator's own without its secrets. */
  env?: Record<string, string | undefined>
  /** What the program reads on stdin; nothing when absent. */
  input?: string | Buffer
  /** Killed after this many milliseconds. */
  timeoutMs?: number
  signal?: AbortSignal
  /** Do not throw when the program fails. */
  allowFailure?: boolean
  /** Each line of stderr, or of git-like progress separated by carriage returns, as it comes. */
  onStderrLine?: (line: string) => void
  /** Code of the error thrown when the program fails; EXEC_ERROR when absent. */
  errorCode?: ErrorCode
  /** Run it as the leader of a process group of its own, which outlives us. */
  detached?: boolean
}

/** How a program ended. */
export interface RunResult {
  exitCode: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

const SECRETS = ['AUTH_TOKEN', 'ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN']

/** The orchestrator's environment without its secrets: what every child gets unless it says otherwise. */
export function cleanEnv(extra: Record<string, string> = {}): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !SECRETS.includes(name)) env[name] = value
  }
  return { ...env, ...extra }
}

/**
 * Starts a program through zx with its arguments as they are: no shell ever sees them.
 *
 * @throws AioError INVALID_INPUT when an argument holds a NUL, which would cut it short.
 */
export function start(file: string, args: readonly string[], options: RunOptions = {}): ProcessPromise {
  if ([file, ...args].some((text) => text.includes('\0')))
    throw new AioError('INVALID_INPUT', 'An argument of a program holds a NUL character and was refused.')
  // zx builds a shell command line; replacing its spawn keeps its process handling and takes the shell out.
  const direct = ((_file: string, _args: readonly string[], given: object) =>
    spawn(file, args, { ...given, shell: false })) as typeof spawn
  const zx = $({
    spawn: direct,
    prefix: '',
    postfix: '',
    quiet: true,
    nothrow: true,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: definedOnly(options.env ?? cleanEnv()),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, timeoutSignal: 'SIGKILL' as const }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.detached === undefined ? {} : { detached: options.detached }),
  })
  return zx`${file}`
}

/**
 * Runs a program to its end through zx, without a shell.
 *
 * @throws AioError EXEC_ERROR (or `errorCode`) with the last lines of stderr when it cannot start, is killed or exits
 * with another status than 0, unless `allowFailure`; TIMEOUT when `timeoutMs` ran out.
 */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const startedAt = performance.now()
  const child = start(file, args, options)
  if (options.onStderrLine !== undefined) {
    const onLine = options.onStderrLine
    createInterface({ input: child.stderr, crlfDelay: 0 }).on('line', onLine)
  }
  const output = await child
  const result = { exitCode: output.exitCode, signal: output.signal, stdout: output.stdout, stderr: output.stderr }
  if (output.exitCode === 0 || options.allowFailure === true) return result
  if (options.timeoutMs !== undefined && performance.now() - startedAt >= options.timeoutMs)
    throw new AioError('TIMEOUT', `${file} did not finish within ${options.timeoutMs} ms and was stopped.`)
  throw new AioError(options.errorCode ?? 'EXEC_ERROR', describe(file, args, result), {
    details: { exitCode: result.exitCode, signal: result.signal },
  })
}

function describe(file: string, args: readonly string[], result: RunResult): string {
  const name = [file, args.find((arg) => /^[a-z][a-z-]+$/.test(arg))].filter(Boolean).join(' ')
  if (result.exitCode !== null && result.exitCode < 0)
    return `${file} could not be started: it is not installed or not executable. \`aio doctor\` says what is missing.`
  const how = result.signal === null ? `exited with status ${result.exitCode}` : `was ended by ${result.signal}`
  const lines = redactUrls(result.stderr).trim().split('\n').slice(-5).join('\n')
  return `${name} ${how}${lines === '' ? '.' : `: ${lines}`}`
}

/** Takes user and password out of every URL in a text. */
export function redactUrls(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi, '$1')
}

function definedOnly(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}
