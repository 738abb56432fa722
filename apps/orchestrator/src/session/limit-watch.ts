import { statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type ReachedLimit, type SessionPause } from '@ai-orchestration/protocol'
import { DEFAULT_SESSION_LIMITS, type Hits } from './cgroups.ts'
import { diskUsage } from './disk-usage.ts'
import type { RecentHits } from './exit-reason.ts'
import { ageS, type HostProcess } from './host-process.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'

/** Between two looks at the counters of all sessions, in milliseconds; a look reads eight small files for each. */
const LOOK_MS = 2_000
/** What happened this long before a session's end has to do with it, in milliseconds. */
const RECENT_MS = 10_000
/** A limit that is run into all the time is told this often, in milliseconds. */
const TELL_MS = 60_000
/** Share of its time in which a session had to wait for the processor, and for how many looks, before that is told. */
const THROTTLED_SHARE = 0.5
const THROTTLED_LOOKS = 3
/** What a program prints per second before that is told, in bytes: more than anyone reads; tmux can take 28 MB. */
const FLOOD_BYTES_PER_S = 512 * 1024
/** A session that uses less than this share of a core and prints nothing is idle. */
const IDLE_SHARE = 0.005
/** Disk is counted again after this long, and after this many times of what counting took: 2 % of a core at most. */
const COUNT_AGAIN_MS = 10_000
const COUNT_AGAIN_FACTOR = 50
/** When the disk's free space falls by so much between two looks, all sessions are counted at once, in bytes. */
const FAST_FALL_BYTES = 128 * 1024 * 1024
/** A person who lets a session go on that is over its disk limit has this long to make room in it, in milliseconds. */
const DISK_GRACE_MS = 60_000

/** What the watch may do with sessions. */
export interface LimitActions {
  /** Sessions whose process lives and is not frozen. */
  running(): string[]
  pause(id: string, reason: SessionPause['reason'], notice?: string): Promise<void>
}

interface Watched {
  hits: Hits
  cpuUs: number
  printed: number
  lookedAt: number
  idleSince: number
  throttledLooks: number
  recent: Partial<Record<'memory' | 'pids', number>>
  told: Map<ReachedLimit['limit'], number>
}

const NO_HITS: Hits = { oomKills: 0, refusedPids: 0, periods: 0, throttledPeriods: 0 }

function isNew(process: HostProcess | undefined): boolean {
  return ageS(process) * 1_000 < RECENT_MS
}

/** What is known of a session's disk. */
interface Disk {
  bytes: number | undefined
  countAt: number
  graceUntil: number
}

/**
 * Notices what sessions run into: memory, processes, processor, output and disk; pauses one that takes more disk than it
 * may, because there is no quota that every file system has, and one that is idle where that was asked for.
 */
export class LimitWatch implements AsyncDisposable {
  readonly #runtime: SessionRuntime
  readonly #actions: LimitActions
  readonly #watched = new Map<string, Watched>()
  readonly #disks = new Map<string, Disk>()
  readonly #stopped = new AbortController()
  readonly #looking: Promise<void>
  #freeBytes = Number.NaN

  constructor(runtime: SessionRuntime, actions: LimitActions) {
    this.#runtime = runtime
    this.#actions = actions
    this.#looking = this.#keepLooking()
  }

  /** What a session's layer and home took on disk when that was last counted, in bytes. */
  diskBytes(id: string): number | undefined {
    return this.#disks.get(id)?.bytes
  }

  /** What a session that has just ended ran into right before. */
  recentHits(id: string): RecentHits {
    const { cgroups, cgroupOf } = this.#runtime
    const now = cgroups.hitsOf(cgroupOf(containerIdOf(id)))
    const watched = this.#watched.get(id)
    const isRecent = (at: number | undefined) => at !== undefined && RECENT_MS > performance.now() - at
    return {
      oom: now.oomKills > (watched?.hits.oomKills ?? 0) || isRecent(watched?.recent.memory),
      pids: now.refusedPids > (watched?.hits.refusedPids ?? 0) || isRecent(watched?.recent.pids),
    }
  }

  /** Leaves a session that a person let go on alone for a while, although it takes more disk than it may. */
  grantDiskGrace(id: string): void {
    const disk = this.#diskOf(id)
    disk.graceUntil = performance.now() + DISK_GRACE_MS
    disk.countAt = 0
  }

  /** Forgets what is known of a session's process, which is another one from now on. */
  forget(id: string): void {
    this.#watched.delete(id)
    this.#disks.delete(id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#looking
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { ref: false, signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        for (const id of this.#actions.running()) await this.#look(id)
        await this.#lookAtDisks()
      } catch (error) {
        this.#runtime.log.warn({ err: error }, 'the limits of sessions could not be looked at')
      }
    }
  }

  async #look(id: string): Promise<void> {
    const { cgroups, cgroupOf } = this.#runtime
    const group = cgroupOf(containerIdOf(id))
    const lookedAt = performance.now()
    const hits = cgroups.hitsOf(group)
    const { cpuUs } = cgroups.usageOf(group)
    const printed = statSync(this.#runtime.paths(id).terminalLog, { throwIfNoEntry: false })?.size ?? 0
    const now: Watched = this.#watched.get(id) ?? {
      // Of what happened before we began to look, nothing is known but of a session that has only just been started.
      ...{
        hits: isNew(this.#runtime.store.get(id)?.process) ? NO_HITS : hits,
        cpuUs,
        printed,
        lookedAt,
        idleSince: lookedAt,
        throttledLooks: 0,
      },
      recent: {},
      told: new Map(),
    }
    this.#watched.set(id, now)
    const ms = Math.max(1, lookedAt - now.lookedAt)
    const oomKills = hits.oomKills - now.hits.oomKills
    const refused = hits.refusedPids - now.hits.refusedPids
    if (oomKills > 0) now.recent.memory = lookedAt
    if (refused > 0) now.recent.pids = lookedAt
    const periods = hits.periods - now.hits.periods
    const isThrottled = periods > 0 && (hits.throttledPeriods - now.hits.throttledPeriods) / periods > THROTTLED_SHARE
    now.throttledLooks = isThrottled ? now.throttledLooks + 1 : 0
    const isFlood = (printed - now.printed) / (ms / 1_000) > FLOOD_BYTES_PER_S
    const isIdle = cpuUs - now.cpuUs < IDLE_SHARE * ms * 1_000 && printed === now.printed
    if (!isIdle) now.idleSince = lookedAt
    Object.assign(now, { hits, cpuUs, printed, lookedAt })
    if (oomKills > 0) await this.#tell(id, now, 'memory', oomKills)
    if (refused > 0) await this.#tell(id, now, 'pids', refused)
    if (now.throttledLooks >= THROTTLED_LOOKS) await this.#tell(id, now, 'cpu', 1)
    if (isFlood) await this.#tell(id, now, 'output', 1)
    await this.#pauseIdle(id, now)
  }

  async #tell(id: string, watched: Watched, limit: ReachedLimit['limit'], times: number): Promise<void> {
    const { store, now } = this.#runtime
    const { reached = [] } = store.get(id)?.session ?? {}
    const count = (reached.find((known) => known.limit === limit)?.count ?? 0) + times
    const toldAt = watched.told.get(limit)
    if (toldAt !== undefined && performance.now() - toldAt < TELL_MS) return
    watched.told.set(limit, performance.now())
    const others = reached.filter((known) => known.limit !== limit)
    await store.change(id, { session: { reached: [...others, { limit, count, at: now().toISOString() }] } })
  }

  async #pauseIdle(id: string, { idleSince }: Watched): Promise<void> {
    const { projects, config } = this.#runtime
    const afterMs = projects.require(projectOf(id)).idlePauseMs ?? config.idlePauseMs ?? 0
    if (afterMs === 0 || performance.now() - idleSince < afterMs) return
    this.#watched.delete(id)
    await this.#actions.pause(id, 'idle')
  }

  /** Counting is the only thing here that takes time, so it is done for one session after the other, and not too often. */
  async #lookAtDisks(): Promise<void> {
    const ids = this.#actions.running()
    const isFast = await this.#falls(ids)
    for (const id of ids) {
      const disk = this.#diskOf(id)
      if (this.#stopped.signal.aborted) return
      if (!isFast && performance.now() < disk.countAt) continue
      const startedAt = performance.now()
      disk.bytes = await diskUsage(this.#runtime.paths(id))
      const tookMs = performance.now() - startedAt
      disk.countAt = performance.now() + Math.max(COUNT_AGAIN_MS, tookMs * COUNT_AGAIN_FACTOR)
      await this.#holdToDisk(id, disk, disk.bytes)
    }
  }

  async #falls(ids: readonly string[]): Promise<boolean> {
    const [any] = ids
    if (any === undefined) return false
    const { bavail, bsize } = await statfs(this.#runtime.paths(any).bundle)
    const before = this.#freeBytes
    this.#freeBytes = bavail * bsize
    return before - this.#freeBytes > FAST_FALL_BYTES
  }

  async #holdToDisk(id: string, disk: Disk, bytes: number): Promise<void> {
    const session = this.#runtime.store.get(id)?.session
    const limitMb = session?.limits?.diskMb ?? DEFAULT_SESSION_LIMITS.diskMb
    if (session === undefined || bytes <= limitMb * 1024 ** 2 || performance.now() < disk.graceUntil) return
    const notice = `It takes ${Math.ceil(bytes / 1024 ** 2)} MiB on disk and may take ${limitMb}, so it was paused. Raise its limit: aio sessions limits ${id} --disk SIZE. Or resume it and make room in it within a minute.`
    await this.#actions.pause(id, 'disk', notice)
    const watched = this.#watched.get(id)
    if (watched !== undefined) await this.#tell(id, watched, 'disk', 1)
  }

  #diskOf(id: string): Disk {
    const disk = this.#disks.get(id) ?? { bytes: undefined, countAt: 0, graceUntil: 0 }
    this.#disks.set(id, disk)
    return disk
  }
}
