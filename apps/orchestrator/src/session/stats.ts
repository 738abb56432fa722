import {
  AioError,
  containerIdOf,
  LIMITS,
  type Session,
  type StatsItem,
  streamItemBytes,
} from '@ai-orchestration/protocol'
import type { Cgroups } from './cgroups.ts'

/** The first item comes this soon, in milliseconds, so that a person who looks sees something. */
const FIRST_MS = 500

/** What statistics are made of. */
export interface StatsSources {
  /** @throws AioError NOT_FOUND */
  require(id: string): Session
  cgroups: Cgroups
  cgroupOf(containerId: string): string
  diskBytes(id: string): number | undefined
  now(): Date
}

/** A watcher of statistics. */
export interface OpenStats {
  sessionId: string
  send: (item: StatsItem) => void
  /** Called once when nothing more follows, with the reason. */
  onEnd: (error: unknown) => void
}

/**
 * Measures a session every two seconds for one watcher, who pays with credit; nothing is measured when nobody watches,
 * or when the watcher does not read.
 */
export class StatsStream {
  readonly #sources: StatsSources
  readonly #options: OpenStats
  #credit = 0
  #timer: NodeJS.Timeout | undefined
  #last: { cpuUs: number; at: number } | undefined

  constructor(sources: StatsSources, options: OpenStats) {
    this.#sources = sources
    this.#options = options
    this.#timer = setTimeout(() => this.#measure(), 0).unref()
  }

  /** Lets so many more bytes be sent. */
  credit(bytes: number): void {
    this.#credit += bytes
  }

  /** Ends it from the watcher's side. */
  close(): void {
    clearTimeout(this.#timer)
  }

  #measure(): void {
    const { sessionId, send, onEnd } = this.#options
    const { cgroups, cgroupOf, require, diskBytes, now } = this.#sources
    try {
      const { state } = require(sessionId)
      if (state === 'stopped' || state === 'failed')
        throw new AioError('NOT_RUNNING', `The session ${sessionId} is ${state}, so it uses nothing.`)
      const { cpuUs, memoryBytes, pids } = cgroups.usageOf(cgroupOf(containerIdOf(sessionId)))
      const at = performance.now()
      const last = this.#last
      this.#last = { cpuUs, at }
      this.#timer = setTimeout(() => this.#measure(), last === undefined ? FIRST_MS : LIMITS.statsIntervalMs).unref()
      if (last === undefined) return
      const cpuPercent = Math.max(0, (cpuUs - last.cpuUs) / 10 / (at - last.at))
      const disk = diskBytes(sessionId)
      const item: StatsItem = {
        type: 'stats',
        stats: {
          ...{ sessionId, at: now().toISOString(), cpuPercent: Math.round(cpuPercent * 10) / 10, memoryBytes, pids },
          ...(disk === undefined || !Number.isFinite(disk) ? {} : { diskBytes: disk }),
        },
      }
      if (this.#credit < streamItemBytes(item)) return
      this.#credit -= streamItemBytes(item)
      send(item)
    } catch (error) {
      this.close()
      onEnd(error)
    }
  }
}
