import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type SessionExit } from '@ai-orchestration/protocol'
import type { TerminalState } from '../terminal/tmux.ts'
import { CommitWatch } from './commit-watch.ts'
import { describeExit } from './exit-reason.ts'
import type { HomeComing } from './home-coming.ts'
import { describeFailure } from './home-coming.ts'
import { ageS, type HostProcess, isAlive } from './host-process.ts'
import { LimitWatch } from './limit-watch.ts'
import { pauseSession } from './pause.ts'
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

/** Watches over running sessions: notices their end and their commits. */
export class SessionLife implements AsyncDisposable {
  readonly #runtime: SessionRuntime
  readonly #homeComing: HomeComing
  readonly #watches = new Map<string, CommitWatch>()
  readonly #paused = new Set<string>()
  readonly #ending = new Map<string, Promise<void>>()
  /** What running sessions run into. */
  readonly limits: LimitWatch
  readonly #stopListening: () => void
  readonly #poll: NodeJS.Timeout
  readonly #sweep: NodeJS.Timeout
  #isOver = false

  constructor(runtime: SessionRuntime, homeComing: HomeComing) {
    this.#runtime = runtime
    this.#homeComing = homeComing
    this.#poll = setInterval(() => this.#look(), POLL_MS).unref()
    this.#sweep = setInterval(() => void this.#sweepCommits(), SWEEP_MS).unref()
    this.limits = new LimitWatch(runtime, {
      running: () =>
        this.#alive().flatMap(({ id }) => (runtime.store.get(id)?.session.state === 'running' ? [id] : [])),
      // Someone else may have begun to do something with it meanwhile.
      pause: async (id, reason, notice) => {
        if (!this.#paused.has(id)) await pauseSession(runtime, id, reason, notice)
      },
    })
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
    this.#isOver = true
    clearInterval(this.#poll)
    clearInterval(this.#sweep)
    this.#stopListening()
    await this.limits[Symbol.asyncDispose]()
    for (const id of [...this.#watches.keys()]) this.unwatch(id)
    await Promise.allSettled(this.#ending.values())
  }

  /** Sessions whose process lives, frozen ones included. */
  #alive(): { id: string; process: HostProcess }[] {
    return this.#runtime.store.list().flatMap(({ session: { id, state }, process }) => {
      const isOurs = (state === 'running' || state === 'paused') && !this.#paused.has(id) && !this.#ending.has(id)
      return isOurs && process !== undefined ? [{ id, process }] : []
    })
  }

  #look(): void {
    for (const { id, process } of this.#alive()) if (!isAlive(process)) this.#endAside(id)
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
      return this.#alive().filter(({ id }) => !hasTerminal(terminals, id))
    }
    try {
      if ((await orphans()).length === 0) return
      await sleep(TERMINAL_GRACE_MS, undefined, { ref: false })
      // Whoever watches now may find them in another state.
      if (this.#isOver) return
      for (const { id } of await orphans()) this.#endAside(id, 'tmux_gone')
    } catch (error) {
      this.#runtime.log.warn({ err: error }, 'the terminals could not be looked at')
    }
  }

  async #sweepCommits(): Promise<void> {
    for (const { id } of this.#alive()) {
      await this.#homeComing
        .bring(id)
        .catch((error: unknown) => this.#runtime.log.warn({ session: id }, describeFailure(error)))
      if (this.#watches.has(id)) this.watch(id)
    }
  }

  /** A container that waited is older than its session. */
  #ranForS({ group, process, session }: SessionRecord): number {
    if (group === undefined) return ageS(process)
    return (this.#runtime.now().getTime() - Date.parse(session.createdAt)) / 1_000
  }

  async #end(id: string, given: SessionExit['reason'] | undefined): Promise<void> {
    const { store, containers, doors, log } = this.#runtime
    const record = store.require(id)
    const exit = await describeExit(this.#runtime, record, this.limits.recentHits(id), given)
    this.limits.forget(id)
    this.unwatch(id)
    await doors.detach(id)
    await containers.delete(containerIdOf(id))
    await this.#runtime.secretFiles.take(id)
    const isShort = exit.reason !== 'reboot' && this.#ranForS(record) < FAILED_WITHIN_S
    const hasFailed = record.session.state === 'starting' || isShort
    const state = hasFailed ? 'failed' : 'stopped'
    await store.change(id, { session: { state, exit, attention: undefined }, process: undefined })
    await this.#homeComing.bring(id).catch((error: unknown) => log.warn({ session: id }, describeFailure(error)))
  }
}

function hasTerminal(terminals: readonly TerminalState[], id: string): boolean {
  return terminals.some(({ name, isDead }) => name === containerIdOf(id) && !isDead)
}
