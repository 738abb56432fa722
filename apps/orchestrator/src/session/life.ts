import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type SessionExit } from '@ai-orchestration/protocol'
import type { TerminalState } from '../terminal/tmux.ts'
import { CommitWatch } from './commit-watch.ts'
import type { HomeComing } from './home-coming.ts'
import { describeFailure } from './home-coming.ts'
import { currentBootId, type HostProcess, isAlive, readOrUndefined } from './host-process.ts'
import type { SessionRecord } from './record.ts'
import type { SessionRuntime } from './runtime.ts'

/** Between two looks at all processes, in milliseconds; a look reads one small file for each. tmux tells sooner. */
const POLL_MS = 500
/** A process that ends this soon has failed, in seconds; the extra quarter is the time until it is noticed. */
const FAILED_WITHIN_S = 2.25
/** Between two unasked attempts to bring commits home, in milliseconds; normally the watch on the workspace tells. */
const SWEEP_MS = 5 * 60_000
/** A program gets this long to end after its terminal has, in milliseconds. */
const TERMINAL_GRACE_MS = 3_000
const LAST_LINES_MAX = 20
/** Ticks per second in /proc: USER_HZ, the same on every Linux. */
const TICKS_PER_S = 100

/** Watches over running sessions: notices their end and their commits. */
export class SessionLife implements AsyncDisposable {
  readonly #runtime: SessionRuntime
  readonly #homeComing: HomeComing
  readonly #watches = new Map<string, CommitWatch>()
  readonly #paused = new Set<string>()
  readonly #ending = new Map<string, Promise<void>>()
  readonly #stopListening: () => void
  readonly #poll: NodeJS.Timeout
  readonly #sweep: NodeJS.Timeout

  constructor(runtime: SessionRuntime, homeComing: HomeComing) {
    this.#runtime = runtime
    this.#homeComing = homeComing
    this.#poll = setInterval(() => this.#look(), POLL_MS).unref()
    this.#sweep = setInterval(() => void this.#sweepCommits(), SWEEP_MS).unref()
    this.#stopListening = runtime.tmux.onDeath(() => void this.#lookAtTerminals())
  }

  /** Begins to watch a session that runs. */
  watch(id: string): void {
    this.#watches.get(id)?.[Symbol.dispose]()
    const look = async () => {
      const before = await this.#homeComing.tips(id)
      await this.#homeComing.bring(id)
      return before !== (await this.#homeComing.tips(id))
    }
    this.#watches.set(id, new CommitWatch(this.#runtime.paths(id).upper, look, this.#runtime.log))
  }

  /** Leaves a session alone while someone else makes or ends it. @returns the way to watch again. */
  pause(id: string): () => void {
    this.#paused.add(id)
    return () => this.#paused.delete(id)
  }

  /** Stops watching for a session's commits. */
  unwatch(id: string): void {
    this.#watches.get(id)?.[Symbol.dispose]()
    this.#watches.delete(id)
  }

  /** Records the end of a session's process, once; its workspace and its last screen stay. */
  async end(id: string, given?: SessionExit['reason']): Promise<void> {
    const ending = this.#ending.get(id) ?? this.#end(id, given)
    this.#ending.set(id, ending)
    try {
      await ending
    } finally {
      this.#ending.delete(id)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#poll)
    clearInterval(this.#sweep)
    this.#stopListening()
    for (const id of [...this.#watches.keys()]) this.unwatch(id)
    await Promise.allSettled(this.#ending.values())
  }

  #running(): { id: string; process: HostProcess }[] {
    return this.#runtime.store.list().flatMap(({ session: { id, state }, process }) => {
      const isOurs = state === 'running' && !this.#paused.has(id) && !this.#ending.has(id)
      return isOurs && process !== undefined ? [{ id, process }] : []
    })
  }

  #look(): void {
    for (const { id, process } of this.#running()) if (!isAlive(process)) this.#endAside(id)
  }

  #endAside(id: string, reason?: SessionExit['reason']): void {
    this.end(id, reason).catch((error: unknown) =>
      this.#runtime.log.error({ session: id, err: error }, 'the end of a session could not be recorded'),
    )
  }

  /** A container whose terminal is gone cannot be steered any more: it gets a moment to end, and is ended then. */
  async #lookAtTerminals(): Promise<void> {
    this.#look()
    const orphans = async () => {
      const terminals = await this.#runtime.tmux.list()
      return this.#running().filter(({ id }) => !hasTerminal(terminals, id))
    }
    try {
      if ((await orphans()).length === 0) return
      await sleep(TERMINAL_GRACE_MS, undefined, { ref: false })
      for (const { id } of await orphans()) this.#endAside(id, 'tmux_gone')
    } catch (error) {
      this.#runtime.log.warn({ err: error }, 'the terminals could not be looked at')
    }
  }

  async #sweepCommits(): Promise<void> {
    for (const { id } of this.#running()) {
      await this.#homeComing
        .bring(id)
        .catch((error: unknown) => this.#runtime.log.warn({ session: id }, describeFailure(error)))
      if (this.#watches.has(id)) this.watch(id)
    }
  }

  async #end(id: string, given: SessionExit['reason'] | undefined): Promise<void> {
    const { store, runc, doors, log } = this.#runtime
    const record = store.require(id)
    const exit = await this.#describeExit(record, given)
    this.unwatch(id)
    await doors.detach(id)
    await runc.delete(containerIdOf(id))
    const isShort = exit.reason !== 'reboot' && lifetimeS(record) < FAILED_WITHIN_S
    const hasFailed = record.session.state === 'starting' || isShort
    const state = hasFailed ? 'failed' : 'stopped'
    await store.change(id, { session: { state, exit }, process: undefined })
    await this.#homeComing.bring(id).catch((error: unknown) => log.warn({ session: id }, describeFailure(error)))
  }

  async #describeExit(record: SessionRecord, given: SessionExit['reason'] | undefined): Promise<SessionExit> {
    const { tmux, cgroups, cgroupOf, now } = this.#runtime
    const name = containerIdOf(record.session.id)
    const at = now().toISOString()
    if (record.bootId !== currentBootId()) return { reason: 'reboot', at }
    const terminal = await this.#finishedTerminal(name)
    if (terminal === undefined) return { reason: given ?? 'tmux_gone', at }
    const screen = (await tmux.capture(name, LAST_LINES_MAX).catch(() => '')).split('\n')
    const lastLines = screen.filter((line) => line.trim() !== '').slice(-LAST_LINES_MAX)
    const shown = { at, ...(lastLines.length === 0 ? {} : { lastLines }) }
    const { exitCode } = terminal
    if (cgroups.oomKills(cgroupOf(name)) > 0 && (exitCode === undefined || exitCode === 137))
      return { reason: 'oom', ...shown }
    if (given !== undefined) return { reason: given, ...shown }
    if (exitCode === undefined) return { reason: terminal.isDead ? 'killed' : 'unknown', ...shown }
    return isSignal(exitCode) ? { reason: 'killed', ...shown } : { reason: 'exited', code: exitCode, ...shown }
  }

  /** The runtime ends a moment after the process, and tmux learns its status a moment after its terminal has closed. */
  async #finishedTerminal(name: string): Promise<TerminalState | undefined> {
    for (let attempt = 0; ; attempt++) {
      const terminal = (await this.#runtime.tmux.list()).find((state) => state.name === name)
      const isKnown = terminal?.exitCode !== undefined || terminal?.signal !== undefined
      if (terminal === undefined || isKnown || attempt === 20) return terminal
      await sleep(50)
    }
  }
}

function hasTerminal(terminals: readonly TerminalState[], id: string): boolean {
  return terminals.some(({ name, isDead }) => name === containerIdOf(id) && !isDead)
}

/** 128 and a signal's number is how a program that was killed shows; 130 is what Ctrl-C and then `exit` leave. */
function isSignal(exitCode: number): boolean {
  return exitCode > 128 && exitCode <= 128 + 31 && exitCode !== 130
}

function lifetimeS({ process }: SessionRecord): number {
  const uptime = Number((readOrUndefined('/proc/uptime') ?? '').split(' ')[0])
  // What has ended before it could be looked at has no start time.
  if (process === undefined) return Number.POSITIVE_INFINITY
  return process.startTime === '' ? 0 : uptime - Number(process.startTime) / TICKS_PER_S
}
