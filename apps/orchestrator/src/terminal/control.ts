import { createInterface } from 'node:readline'
import { AioError } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'

/** tmux session that the control client lives in; it only sleeps. Its name is no container id, so nothing else has it. */
export const KEEPER_SESSION = 'aio-control'

/** A reply that takes this long, in milliseconds, means that the server hangs; the client is then replaced. */
const REPLY_DEADLINE_MS = 10_000

interface Pending {
  /** Commands of the line that have not answered yet. */
  missing: number
  replies: string[][]
  resolve: (replies: string[][]) => void
  reject: (error: Error) => void
}

/**
 * One long-lived tmux client in control mode: commands are lines on its stdin, so that input and resize cost no process
 * (key to echo 0.9 ms, against 5 ms with one `tmux send-keys` per key). Starts with the first command, and again after
 * tmux or the client has died.
 */
export class ControlClient {
  readonly #argv: readonly string[]
  readonly #env: Record<string, string>
  readonly #log: Logger
  readonly #onNews: (news: 'died' | 'gone') => void
  #client: Connection | undefined

  /**
   * @param argv program and options that reach the server, without a command.
   * @param onNews called after the program of a terminal has ended (`died`) and when the client has (`gone`).
   */
  constructor(
    argv: readonly string[],
    env: Record<string, string>,
    log: Logger,
    onNews: (news: 'died' | 'gone') => void,
  ) {
    this.#argv = argv
    this.#env = env
    this.#log = log
    this.#onNews = onNews
  }

  /**
   * Runs one line of tmux commands and answers the lines that each of them printed. Lines run in the order of the calls.
   *
   * Never with a command that prints what a program wrote, such as `capture-pane`: replies end with a line `%end …`,
   * which a program could print as well.
   *
   * @param commands how many commands the line holds: each answers on its own, until one fails.
   * @throws AioError EXEC_ERROR with tmux's own message when it refuses; UNAVAILABLE when tmux is gone.
   */
  async run(line: string, commands = 1): Promise<string[][]> {
    if (/[\n\r\0]/.test(line)) throw new AioError('INTERNAL', 'A line for tmux holds a line break.')
    if (this.#client === undefined || this.#client.isClosed) {
      const [file, ...args] = [...this.#argv, '-C', 'new-session', '-A', '-s', KEEPER_SESSION]
      // ignore-size: a control client must not count when tmux sizes windows; no-output: viewers read the log instead.
      const flags = ['-f', 'no-output,ignore-size', '-x', '80', '-y', '24', '--', 'sleep', 'infinity']
      const child = spawnPiped(file ?? 'tmux', [...args, ...flags], { env: this.#env })
      this.#client = new Connection(child, this.#log, this.#onNews)
    }
    return await this.#client.run(line, commands)
  }

  /** Ends the client; tmux and its sessions live on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.close()
    this.#client = undefined
  }
}

/** One run of the client. Replies come in the order of the commands, each between `%begin` and `%end` or `%error`. */
class Connection {
  isClosed = false
  readonly #child: PipedChild
  readonly #pending: Pending[] = []
  readonly #gone: Promise<void>
  readonly #onNews: (news: 'died' | 'gone') => void
  #reply: string[] | undefined

  constructor(child: PipedChild, log: Logger, onNews: (news: 'died' | 'gone') => void) {
    this.#child = child
    this.#onNews = onNews
    const errors: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => errors.push(line))
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
    child.stdin.on('error', () => this.#end('its input was closed'))
    this.#gone = new Promise((resolve) => {
      child.process.on('error', (error) => {
        this.#end(error.message)
        resolve()
      })
      child.process.on('close', (code) => {
        log.debug({ code, errors }, 'the tmux control client ended')
        this.#end(errors.join(' ') || `exit status ${code}`)
        resolve()
      })
    })
  }

  async run(line: string, commands: number): Promise<string[][]> {
    const timer = setTimeout(() => {
      this.#end(`no answer within ${REPLY_DEADLINE_MS} ms`)
      this.#child.process.kill('SIGKILL')
    }, REPLY_DEADLINE_MS)
    const { promise, resolve, reject } = Promise.withResolvers<string[][]>()
    this.#pending.push({ missing: commands, replies: [], resolve, reject })
    if (this.isClosed) this.#end('it has ended')
    else this.#child.stdin.write(`${line}\n`)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.#child.stdin.end()
    await this.#gone
  }

  #onLine(line: string): void {
    if (this.#reply === undefined) {
      if (line.startsWith('%begin ')) this.#reply = []
      // The hook `pane-died` of tmux.conf renames the keeper's window.
      else if (line.startsWith('%window-renamed ')) this.#onNews('died')
      else if (line.startsWith('%exit')) this.#end(line.slice(5).trim() || 'tmux ended')
      return
    }
    const end = /^%(end|error) \d+ \d+ ([01])$/.exec(line)
    if (end === null) {
      this.#reply.push(line)
      return
    }
    const lines = this.#reply
    this.#reply = undefined
    // The last number is 0 for replies to others, such as hooks and the command that the client was started with.
    if (end[2] === '1') this.#onReply(end[1] === 'end', lines)
  }

  #onReply(isDone: boolean, lines: string[]): void {
    const pending = this.#pending[0]
    if (pending === undefined) return
    pending.replies.push(lines)
    pending.missing -= 1
    if (isDone && pending.missing > 0) return
    // After a command that failed, tmux drops the rest of the line.
    this.#pending.shift()
    if (isDone) pending.resolve(pending.replies)
    else pending.reject(new AioError('EXEC_ERROR', `tmux refused: ${lines.join(' ') || 'it gave no reason'}.`))
  }

  #end(why: string): void {
    if (!this.isClosed) this.#onNews('gone')
    this.isClosed = true
    for (const pending of this.#pending.splice(0))
      pending.reject(new AioError('UNAVAILABLE', `The terminal server (tmux) is not there: ${why}. Try again.`))
  }
}
