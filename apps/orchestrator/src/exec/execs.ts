import {
  AioError,
  type ExecItem,
  type ExecRequest,
  LIMITS,
  streamItemBytes,
  toAioError,
} from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'
import { endTree } from './end-tree.ts'
import { exitCodeOf, RuntimeComplaint } from './exit-code.ts'

/** Bytes of stdin that may wait for a program that does not read. */
const STDIN_WAITING_MAX = 16 * 1024 * 1024
/** runc ends right after it has complained; what looks like a complaint is kept back for so long, in milliseconds. */
const HOLD_MS = 300

/** What execs need of sessions. */
export interface ExecSessions {
  /** @throws AioError NOT_FOUND, NOT_RUNNING */
  execArgv(id: string, argv: readonly string[], options: { cwd?: string }): { file: string; args: string[] }
}

/** A program to be run inside a session. */
export interface OpenExec {
  request: ExecRequest
  send: (item: ExecItem) => void
  /** Called once when nothing more follows, with an error when the failure is ours; not when closed from this side. */
  onEnd: (error?: unknown) => void
}

/** The door to one running program. */
export interface RunningExec {
  credit(bytes: number): void
  /** @param data stdin as base64 */
  write(data: string): void
  /** No more stdin. */
  end(): void
  /** Ends the program. */
  close(): void
}

/** Programs that people run inside sessions, beside the agent. */
export class Execs {
  readonly #sessions: ExecSessions
  readonly #log: Logger
  readonly #running = new Set<Exec>()

  constructor(services: { sessions: ExecSessions; log: Logger }) {
    this.#sessions = services.sessions
    this.#log = services.log
  }

  /** Starts a program; it sends nothing before it is given credit. Errors, such as NOT_RUNNING, come by `onEnd`. */
  open(options: OpenExec): RunningExec {
    const { sessionId, argv, cwd } = options.request
    try {
      // A shell's exec tells "not found" (127) and "not executable" (126) apart; the arguments reach the program as they are.
      const wrapped = ['/bin/sh', '-c', 'exec "$@"', 'sh', ...argv]
      const { file, args } = this.#sessions.execArgv(sessionId, wrapped, cwd === undefined ? {} : { cwd })
      const exec: Exec = new Exec(spawnPiped(file, args), options, this.#log, () => this.#running.delete(exec))
      this.#running.add(exec)
      return exec
    } catch (error) {
      queueMicrotask(() => options.onEnd(error))
      const nothing = () => undefined
      return { credit: nothing, write: nothing, end: nothing, close: nothing }
    }
  }

  /** Ends all programs and waits for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#running]
    for (const exec of all) exec.close()
    await Promise.all(all.map((exec) => exec.ended))
  }
}

class Exec implements RunningExec {
  readonly ended: Promise<void>
  readonly #child: PipedChild
  readonly #options: OpenExec
  readonly #log: Logger
  readonly #complaint = new RuntimeComplaint()
  #credit = 0
  #isClosed = false
  #holding: NodeJS.Timeout | undefined

  constructor(child: PipedChild, options: OpenExec, log: Logger, onGone: () => void) {
    this.#child = child
    this.#options = options
    this.#log = log
    const { process: run, stdin, stdout, stderr } = child
    this.ended = new Promise((resolve) => {
      run.on('error', (error) => {
        this.#finish(
          new AioError('EXEC_ERROR', `The program could not be started: ${error.message}.`, { cause: error }),
        )
      })
      run.on('close', (code, signal) => {
        this.#onExit(exitCodeOf(code, signal))
        onGone()
        resolve()
      })
    })
    stdin.on('error', (error) => log.debug({ err: error }, 'a program closed its stdin'))
    if (options.request.stdin !== true) stdin.end()
    stdout.on('data', (chunk: Buffer) => this.#send('stdout', chunk))
    stderr.on('data', (chunk: Buffer) => {
      this.#send('stderr', this.#complaint.filter(chunk))
      if (this.#complaint.isHolding) this.#holding ??= setTimeout(() => this.#giveBack(), HOLD_MS).unref()
    })
    this.#pause(true)
  }

  credit(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > 0) this.#pause(false)
  }

  write(data: string): void {
    const { stdin } = this.#child
    if (this.#isClosed || stdin.destroyed || stdin.writableEnded) return
    stdin.write(Buffer.from(data, 'base64'))
    if (stdin.writableLength <= STDIN_WAITING_MAX) return
    this.#finish(
      new AioError('LIMIT', 'The program does not read its input, so it was ended. Send less, or more slowly.'),
    )
    this.#endProgram()
  }

  end(): void {
    this.#child.stdin.end()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#endProgram()
  }

  #endProgram(): void {
    // What it still prints goes nowhere; unread, it would keep the program waiting.
    this.#pause(false)
    endTree(this.#child.process).catch((error: Error) => this.#log.warn({ err: error }, 'a program could not be ended'))
  }

  #pause(isPaused: boolean): void {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (isPaused) stream.pause()
      else stream.resume()
    }
  }

  #send(type: 'stdout' | 'stderr', bytes: Buffer): void {
    if (this.#isClosed) return
    for (let start = 0; start < bytes.length; start += LIMITS.streamFrameMaxBytes) {
      const data = bytes.subarray(start, start + LIMITS.streamFrameMaxBytes).toString('base64')
      const item: ExecItem = { type, data }
      this.#credit -= streamItemBytes(item)
      this.#options.send(item)
    }
    if (this.#credit <= 0) this.#pause(true)
  }

  #giveBack(): void {
    this.#send('stderr', this.#complaint.giveUp())
  }

  #onExit(code: number): void {
    clearTimeout(this.#holding)
    if (this.#isClosed) return
    const complaint = this.#complaint.error(code)
    if (complaint !== undefined) {
      this.#finish(complaint)
      return
    }
    this.#giveBack()
    this.#options.send({ type: 'exit', code })
    this.#finish()
  }

  #finish(error?: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#options.onEnd(error === undefined ? undefined : toAioError(error))
  }
}
