import { stat } from 'node:fs/promises'
import {
  AioError,
  type OrchestratorEvent,
  pausedText,
  type Session,
  type TerminalItem,
  type TerminalSize,
} from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { PrivateModes } from './private-modes.ts'
import { type Replay, replayScreen, replayTail } from './replay.ts'
import { TerminalLog } from './terminal-log.ts'
import type { Tmux } from './tmux.ts'
import { Viewer } from './viewer.ts'

/** How often logs are held to their cap, in milliseconds. */
const TRIM_INTERVAL_MS = 5_000
/** Logs below this size are under any cap, in bytes. */
const TRIM_FROM_BYTES = 64 * 1024 * 1024

/** What terminals need to know of sessions. */
export interface TerminalSessions {
  /** @throws AioError NOT_FOUND */
  require(id: string): Session
  list(): Session[]
  resume(id: string): Promise<Session>
  terminalOf(id: string): { tmuxName: string; logFile: string }
  onChange(listener: (event: OrchestratorEvent) => void): () => void
}

/** A viewer to be opened. */
export interface OpenTerminal {
  sessionId: string
  /** Set the terminal to this size first. */
  size?: TerminalSize | undefined
  /** Go on after this offset instead of a replay. */
  after?: number | undefined
  send: (item: TerminalItem) => void
  /** Called once when nothing more follows; not when the viewer was closed from this side. */
  onEnd: (error?: unknown) => void
}

/** The door to one open viewer. */
export interface OpenViewer {
  credit(bytes: number): void
  close(): void
}

/** A session that is being watched. */
interface Watched {
  log: TerminalLog
  viewers: Set<Viewer>
  /** Viewers that are open or being opened; the log is closed with the last one. */
  holders: number
}

/** Everyone who watches terminals, and what they type. */
export class Terminals {
  readonly #tmux: Tmux
  readonly #sessions: TerminalSessions
  readonly #log: Logger
  readonly #watched = new Map<string, Promise<Watched>>()
  readonly #modes = new Map<string, PrivateModes>()
  readonly #stopListening: () => void
  readonly #trimmer: NodeJS.Timeout

  constructor(services: { tmux: Tmux; sessions: TerminalSessions; log: Logger }) {
    this.#tmux = services.tmux
    this.#sessions = services.sessions
    this.#log = services.log
    this.#stopListening = services.sessions.onChange((event) => this.#onSession(event))
    this.#trimmer = setInterval(() => {
      this.#trim().catch((error: Error) => this.#log.warn({ err: error }, 'a terminal log could not be cut to its cap'))
    }, TRIM_INTERVAL_MS).unref()
  }

  /** Opens a viewer, which sends nothing before it is given credit. Errors, such as NOT_FOUND, come by `onEnd`. */
  open(options: OpenTerminal): OpenViewer {
    let credit = 0
    let isClosed = false
    let viewer: OpenViewer | undefined
    this.#start(options, () => isClosed).then(
      (started) => {
        viewer = started
        if (isClosed) viewer?.close()
        else if (credit > 0) viewer?.credit(credit)
      },
      (error: unknown) => {
        if (!isClosed) options.onEnd(error)
      },
    )
    return {
      credit: (bytes) => {
        if (viewer === undefined) credit += bytes
        else viewer.credit(bytes)
      },
      close: () => {
        isClosed = true
        viewer?.close()
      },
    }
  }

  /**
   * Types text into a session's terminal, after all that was typed before.
   *
   * @throws AioError NOT_FOUND; NOT_RUNNING when its terminal is gone.
   */
  async input(sessionId: string, text: string): Promise<void> {
    await this.#wake(sessionId)
    await this.#tmux.input(this.#sessions.terminalOf(sessionId).tmuxName, text).catch(asNotRunning)
  }

  /**
   * Sets the size of a session's terminal and tells all its viewers; the last one who asks wins.
   *
   * @throws AioError NOT_FOUND; NOT_RUNNING when its terminal is gone.
   */
  async resize(sessionId: string, size: TerminalSize): Promise<void> {
    this.#sessions.require(sessionId)
    await this.#tmux.resize(this.#sessions.terminalOf(sessionId).tmuxName, size).catch(asNotRunning)
    const watched = await this.#watched.get(sessionId)
    if (watched === undefined) return
    const { lastSize } = watched.log
    if (lastSize.cols === size.cols && lastSize.rows === size.rows) return
    await watched.log.noteSize(size)
    for (const viewer of watched.viewers) viewer.resized(size)
  }

  /** Ends all viewers; sessions and logs go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#trimmer)
    this.#stopListening()
    const all = await Promise.allSettled([...this.#watched.values()])
    this.#watched.clear()
    for (const opened of all) {
      if (opened.status === 'rejected') continue
      for (const viewer of opened.value.viewers) viewer.close()
      opened.value.viewers.clear()
      await opened.value.log[Symbol.asyncDispose]()
    }
  }

  /** One that was paused because nothing happened goes on when something does; any other pause is a person's business. */
  async #wake(sessionId: string): Promise<void> {
    const { pause } = this.#sessions.require(sessionId)
    if (pause === undefined) return
    if (pause.reason !== 'idle') throw new AioError('NOT_RUNNING', pausedText(sessionId))
    await this.#sessions.resume(sessionId)
  }

  async #start(options: OpenTerminal, isClosed: () => boolean): Promise<OpenViewer | undefined> {
    const { sessionId, size, after, send } = options
    await this.#untilStarted(sessionId)
    if (isClosed()) return undefined
    const watched = await this.#hold(sessionId)
    try {
      if (size !== undefined) await this.#resizeIfAlive(sessionId, size)
      const session = this.#sessions.require(sessionId)
      const viewer: Viewer = new Viewer({
        log: watched.log,
        replay: () => this.#replay(sessionId, watched.log),
        send,
        onEnd: (error) => {
          this.#release(sessionId, watched, viewer)
          options.onEnd(error)
        },
        after,
      })
      watched.viewers.add(viewer)
      if (hasEnded(session)) viewer.sessionEnded(session.exit)
      return {
        credit: (bytes) => viewer.credit(bytes),
        close: () => {
          viewer.close()
          this.#release(sessionId, watched, viewer)
        },
      }
    } catch (error) {
      this.#release(sessionId, watched)
      throw error
    }
  }

  /** A terminal that is gone keeps its size; what it printed can still be shown. */
  async #resizeIfAlive(sessionId: string, size: TerminalSize): Promise<void> {
    try {
      await this.resize(sessionId, size)
    } catch (error) {
      if (!(error instanceof AioError && error.code === 'NOT_RUNNING')) throw error
    }
  }

  async #replay(sessionId: string, log: TerminalLog): Promise<Replay> {
    const modes = this.#modes.get(sessionId) ?? new PrivateModes()
    this.#modes.set(sessionId, modes)
    try {
      const replay = await replayScreen(this.#tmux, this.#sessions.terminalOf(sessionId).tmuxName, log, modes)
      await log.noteSize(replay)
      return replay
    } catch (error) {
      if (error instanceof AioError && error.code === 'NOT_RUNNING') return await replayTail(log)
      throw error
    }
  }

  /** A session that is being created has no terminal yet. */
  async #untilStarted(sessionId: string): Promise<void> {
    if (this.#sessions.require(sessionId).state !== 'starting') return
    await new Promise<void>((resolve, reject) => {
      const stop = this.#sessions.onChange((event) => {
        if (event.type === 'session_updated' && event.session.id === sessionId && event.session.state !== 'starting') {
          stop()
          resolve()
        } else if (event.type === 'session_removed' && event.sessionId === sessionId) {
          stop()
          reject(new AioError('NOT_FOUND', `The session ${sessionId} could not be created and was removed.`))
        }
      })
    })
  }

  async #hold(sessionId: string): Promise<Watched> {
    let opening = this.#watched.get(sessionId)
    if (opening === undefined) {
      const { logFile } = this.#sessions.terminalOf(sessionId)
      opening = TerminalLog.open(logFile, this.#log).then((log) => ({ log, viewers: new Set<Viewer>(), holders: 0 }))
      this.#watched.set(sessionId, opening)
      opening.catch(() => this.#watched.delete(sessionId))
    }
    const watched = await opening
    watched.holders += 1
    return watched
  }

  #release(sessionId: string, watched: Watched, viewer?: Viewer): void {
    if (viewer !== undefined && !watched.viewers.delete(viewer)) return
    watched.holders -= 1
    if (watched.holders > 0) return
    this.#watched.delete(sessionId)
    watched.log[Symbol.asyncDispose]().catch((error: Error) =>
      this.#log.warn({ err: error }, 'a terminal log could not be closed'),
    )
  }

  #onSession(event: OrchestratorEvent): void {
    if (event.type === 'session_updated' && hasEnded(event.session)) this.#end(event.session.id, event.session)
    if (event.type === 'session_removed') {
      this.#modes.delete(event.sessionId)
      this.#end(event.sessionId)
    }
  }

  #end(sessionId: string, session?: Session): void {
    this.#watched.get(sessionId)?.then(
      ({ viewers }) => {
        for (const viewer of viewers) viewer.sessionEnded(session?.exit)
      },
      (error: Error) => this.#log.debug({ err: error }, 'a session ended whose log could not be opened'),
    )
  }

  async #trim(): Promise<void> {
    for (const { id } of this.#sessions.list()) {
      const { logFile } = this.#sessions.terminalOf(id)
      const size = await stat(logFile).then(
        (found) => found.size,
        () => 0,
      )
      if (size < TRIM_FROM_BYTES) continue
      const watched = await this.#watched.get(id)
      if (watched !== undefined) {
        await watched.log.trim()
        continue
      }
      await using log = await TerminalLog.open(logFile, this.#log)
      await log.trim()
    }
  }
}

function hasEnded(session: Session): boolean {
  return session.state === 'stopped' || session.state === 'failed'
}

function asNotRunning(error: unknown): never {
  if (error instanceof AioError && error.code === 'EXEC_ERROR')
    throw new AioError('NOT_RUNNING', 'This session has no terminal now, so it takes no input.', { cause: error })
  throw error
}
