import { createHash, randomBytes } from 'node:crypto'
import { lstat, mkdir, open, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { AioError, type TerminalSize } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { cleanEnv, run } from '../process/run.ts'
import { ControlClient, KEEPER_SESSION } from './control.ts'
import { remindServerOf } from './remind-server.ts'

const CONFIG = fileURLToPath(new URL('../../config/tmux.conf', import.meta.url))
/** Container ids: `claude-{project}_{session}`. In a target any other character could mean something to tmux. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,99}$/
/** Paths that stand in a shell string; `#` and `%` would be expanded by tmux first. */
const INERT_PATH = /^\/[A-Za-z0-9/._-]+$/
const SERVER_GONE = /no server running|error connecting|server exited|lost server/
/** A server that ends takes a few milliseconds for it. */
const START_ATTEMPTS = 5
const START_RETRY_MS = 50
/** Bytes of input per `send-keys`: three characters each on the line. */
const INPUT_CHUNK_BYTES = 1_024
/** Until the control client is started again after tmux has died, in milliseconds. */
const RECONNECT_MS = 1_000

/** A terminal to be started. */
export interface NewTerminal extends TerminalSize {
  name: string
  /** Program and arguments, executed directly: no shell sees them. */
  argv: readonly string[]
  /** Everything the terminal prints is appended here, from its first byte on. */
  logFile: string
  /** Added to tmux's own, small environment. */
  env?: Record<string, string>
}

/** A terminal as tmux knows it. */
export interface TerminalState {
  name: string
  /** True when its program has ended; its screen stays until it is killed. */
  isDead: boolean
  /** Exit status, when the program ended by itself. */
  exitCode?: number
  /** Number of the signal that ended it. */
  signal?: number
  /** The program's process on this machine. */
  panePid: number
}

/** The tmux server that holds all terminals, on its own socket; it outlives the orchestrator. */
export class Tmux {
  readonly #options: readonly string[]
  readonly #run: string
  readonly #env: Record<string, string>
  readonly #control: ControlClient
  readonly #log: Logger
  readonly #deathListeners = new Set<() => void>()
  #reconnect: NodeJS.Timeout | undefined

  /**
   * Makes the door to the tmux server under `aioRun`; the server itself starts when it is first needed.
   *
   * @throws AioError ISOLATION_UNAVAILABLE when its socket belongs to someone else.
   */
  static async open(services: { aioRun: string; log: Logger }): Promise<Tmux> {
    await assertOwnSocket(join(services.aioRun, 'tmux.sock'))
    return new Tmux(services)
  }

  private constructor(services: { aioRun: string; log: Logger }) {
    this.#run = services.aioRun
    this.#log = services.log
    this.#options = ['-S', join(services.aioRun, 'tmux.sock'), '-f', CONFIG, '-u']
    // The server keeps the environment of whoever starts it for all terminals, so it gets as little as possible.
    this.#env = { PATH: cleanEnv()['PATH'] ?? '/usr/bin:/bin', HOME: '/', LANG: 'C.UTF-8', TERM: 'xterm-256color' }
    const argv = ['tmux', ...this.#options]
    this.#control = new ControlClient(argv, this.#env, services.log, (news) => this.#onNews(news))
  }

  /**
   * Starts a program in a new terminal and logs all it prints.
   *
   * @throws AioError CONFLICT when the name is taken; EXEC_ERROR when tmux cannot start it.
   */
  async newSession(terminal: NewTerminal): Promise<void> {
    const { name, argv, cols, rows, logFile, env = {} } = terminal
    assertName(name)
    const first = argv[0]
    if (first === undefined) throw new AioError('INVALID_INPUT', 'A terminal needs a program to run.')
    const link = await this.#linkLog(name, logFile)
    // tmux gives a lone argument to a shell and executes several directly.
    const direct = argv.length === 1 ? ['/usr/bin/env', '--', first] : argv
    const target = `=${name}:`
    const commands = [
      [
        ...['new-session', '-d', '-s', name, '-x', String(cols), '-y', String(rows), '-c', '/'],
        ...Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
        ...['--', ...direct],
      ],
      // In the same call, before tmux reads the terminal for the first time: no byte is missed.
      ['pipe-pane', '-O', '-t', target, `exec cat >>${link}`],
      ['set-option', '-w', '-t', target, 'window-size', 'manual'],
    ]
    for (let attempt = 1; ; attempt++) {
      try {
        // Ten milliseconds less than a process of its own.
        await this.#control.run(commands.map((words) => words.map(quoted).join(' ')).join(' ; '), commands.length)
        return
      } catch (error) {
        if (!(error instanceof AioError)) throw error
        if (error.message.includes('duplicate session'))
          throw new AioError('CONFLICT', `A terminal named ${name} is already there.`, { cause: error })
        // The server was just ending; nothing was started in it.
        if (error.code !== 'UNAVAILABLE' || attempt === START_ATTEMPTS) throw error
        await sleep(START_RETRY_MS)
      }
    }
  }

  /** All terminals; none when the server does not run. */
  async list(): Promise<TerminalState[]> {
    const format = '#{session_name} #{pane_pid} #{pane_dead} #{pane_dead_signal} #{pane_dead_status}'
    const stdout = await this.#ask(['list-panes', '-a', '-F', format])
    const states = (stdout ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map(parseState)
    for (const { panePid, exitCode, signal } of states)
      if (exitCode === undefined && signal === undefined) remindServerOf(panePid)
    return states.filter(({ name }) => name !== KEEPER_SESSION)
  }

  /** Tells whether there is a terminal of this name, alive or dead. */
  async has(name: string): Promise<boolean> {
    assertName(name)
    return (await this.#ask(['has-session', '-t', `=${name}`])) !== undefined
  }

  /** Ends a terminal (its program gets SIGHUP) and forgets it; does nothing when there is none. */
  async kill(name: string): Promise<void> {
    assertName(name)
    await this.#ask(['kill-session', '-t', `=${name}`])
    await rm(join(this.#linkDir(name), 'terminal.log'), { force: true })
  }

  /** Gives a terminal another name. @throws AioError when there is none, or the new name is taken. */
  async rename(from: string, to: string): Promise<void> {
    assertName(from)
    assertName(to)
    await this.#control.run(`rename-session -t =${from}: ${to}`)
  }

  /** The screen and up to `lines` lines above it as plain text, without empty lines at the end. */
  async capture(name: string, lines = 0): Promise<string> {
    assertName(name)
    const args = ['capture-pane', '-p', '-J', '-S', String(-lines), '-t', `=${name}:`]
    const stdout = await this.#ask(args)
    if (stdout === undefined) throw new AioError('NOT_RUNNING', 'This session has no terminal now.')
    return stdout.trimEnd()
  }

  /** Types text into a terminal as raw bytes, in the order of the calls. */
  async input(name: string, text: string): Promise<void> {
    assertName(name)
    const bytes = Buffer.from(text, 'utf8')
    const written: Promise<string[][]>[] = []
    for (let start = 0; start < bytes.length; start += INPUT_CHUNK_BYTES) {
      const hex = bytes
        .subarray(start, start + INPUT_CHUNK_BYTES)
        .toString('hex')
        .replace(/..(?=.)/g, '$& ')
      written.push(this.#control.run(`send-keys -t =${name}: -H ${hex}`))
    }
    await Promise.all(written)
  }

  /** Sets a terminal's size. */
  async resize(name: string, size: TerminalSize): Promise<void> {
    assertName(name)
    await this.#control.run(`resize-window -t =${name}: -x ${size.cols} -y ${size.rows}`)
  }

  /** A terminal's size now. */
  async sizeOf(name: string): Promise<TerminalSize> {
    assertName(name)
    const [lines] = await this.#control.run(`display-message -p -t =${name}: "#{pane_width} #{pane_height}"`)
    const [cols, rows] = (lines?.[0] ?? '').split(' ').map(Number)
    if (!cols || !rows) throw new AioError('NOT_RUNNING', 'This session has no terminal now.')
    return { cols, rows }
  }

  /**
   * What a series of tmux commands prints about one terminal, each on its own, run in one go: no output of the program
   * comes in between.
   *
   * @param commands each without its target, which is added.
   * @throws AioError NOT_RUNNING when there is no such terminal.
   */
  async inspect(name: string, commands: readonly (readonly string[])[]): Promise<string[]> {
    assertName(name)
    // A program can print anything but this mark, which it cannot guess.
    const mark = randomBytes(16).toString('hex')
    const separated = commands.flatMap(([command = '', ...args], index) => [
      ...(index === 0 ? [] : [';', 'display-message', '-p', mark, ';']),
      ...[command, '-p', '-t', `=${name}:`, ...args],
    ])
    const stdout = await this.#ask(separated)
    if (stdout === undefined) throw new AioError('NOT_RUNNING', 'This session has no terminal now.')
    return stdout.split(`${mark}\n`)
  }

  /** Calls back when the program of any terminal may have ended; `list` says which. Answers how to stop that. */
  onDeath(listener: () => void): () => void {
    this.#deathListeners.add(listener)
    this.#connect()
    return () => this.#deathListeners.delete(listener)
  }

  /** Stops watching; the server and its terminals live on. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#reconnect)
    this.#deathListeners.clear()
    await this.#control[Symbol.asyncDispose]()
  }

  #onNews(news: 'died' | 'gone'): void {
    // A server that is gone has taken its terminals with it, so that is news of deaths too.
    this.#tellDeaths()
    if (news === 'died' || this.#deathListeners.size === 0) return
    clearTimeout(this.#reconnect)
    this.#reconnect = setTimeout(() => this.#connect(), RECONNECT_MS).unref()
  }

  #connect(): void {
    this.#control.run('display-message -p ready').then(
      // What died while there was no client was told to nobody.
      () => this.#tellDeaths(),
      (error: Error) => this.#log.warn({ error: error.message }, 'tmux cannot be reached'),
    )
  }

  #tellDeaths(): void {
    for (const listener of this.#deathListeners) listener()
  }

  async #linkLog(name: string, logFile: string): Promise<string> {
    const dir = this.#linkDir(name)
    const link = join(dir, 'terminal.log')
    if (!INERT_PATH.test(link)) throw new AioError('INTERNAL', 'AIO_RUN holds a character that tmux would interpret.')
    await mkdir(dir, { recursive: true, mode: 0o711 })
    await (await open(logFile, 'a', 0o600)).close()
    await symlink(logFile, `${link}.new`).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      await rm(`${link}.new`)
      await symlink(logFile, `${link}.new`)
    })
    await rename(`${link}.new`, link)
    return link
  }

  #linkDir(name: string): string {
    return join(this.#run, 's', createHash('sha256').update(name).digest('hex').slice(0, 12))
  }

  async #tmux(args: readonly string[]): Promise<string> {
    const { stdout } = await run('tmux', [...this.#options, ...args], { env: this.#env, timeoutMs: 10_000 })
    return stdout
  }

  /** Like `#tmux`, and `undefined` when there is no such terminal or no server. */
  async #ask(args: readonly string[]): Promise<string | undefined> {
    try {
      return await this.#tmux(args)
    } catch (error) {
      if (error instanceof AioError && (SERVER_GONE.test(error.message) || error.message.includes("can't find")))
        return undefined
      throw error
    }
  }
}

/** A socket of someone else's would give them what every session prints; AIO_RUN is ours, so this is a wrong set-up. */
async function assertOwnSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (stat !== undefined && stat.uid !== process.getuid?.())
    throw new AioError('ISOLATION_UNAVAILABLE', `${path} belongs to another user. Remove it, or set another AIO_RUN.`)
}

function assertName(name: string): void {
  if (!NAME.test(name) || name === KEEPER_SESSION)
    throw new AioError('INVALID_INPUT', `${JSON.stringify(name)} cannot be the name of a terminal.`)
}

/** As tmux reads words of a line: nothing means anything between single quotes. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

function parseState(line: string): TerminalState {
  const [name = '', pid, dead, signal, status] = line.split(' ')
  return {
    name,
    panePid: Number(pid),
    isDead: dead === '1',
    ...(status === undefined || status === '' ? {} : { exitCode: Number(status) }),
    ...(signal === undefined || signal === '' || signal === '0' ? {} : { signal: Number(signal) }),
  }
}
