import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import { pathExists } from '../disk/path-exists.ts'
import type { SessionRecord } from './record.ts'
import type { SessionRuntime } from './runtime.ts'
import { layersOf } from './workspace.ts'
import { findStart } from './worktree.ts'

/** A container of a setup is ended within this time, in milliseconds. */
const STOP_MS = 2_000

/**
 * Keeps ready what the next session of a project starts from: the base and the setup of the default branch's last
 * fetched commit; and removes bases that no session lies on, so that the disk they take is bounded.
 */
export class WarmBases {
  readonly #runtime: SessionRuntime
  readonly #running = new Map<string, { done: Promise<void>; stop: AbortController }>()

  constructor(runtime: SessionRuntime) {
    this.#runtime = runtime
  }

  /** Makes a project's base and setup ready and clears away; never fails, since it is nobody's request. */
  async warm(projectId: string): Promise<void> {
    const before = this.#running.get(projectId)
    const stop = before?.stop ?? new AbortController()
    const done = (before?.done ?? Promise.resolve())
      .then(async () => await this.#warm(projectId, stop.signal))
      .catch((error: unknown) => {
        if (stop.signal.aborted) return
        const { code, message } = toAioError(error)
        this.#runtime.log.warn({ project: projectId, code }, `the next base could not be made ready: ${message}`)
      })
    const mine = { done, stop }
    this.#running.set(projectId, mine)
    await done
    if (this.#running.get(projectId) === mine) this.#running.delete(projectId)
  }

  /** Stops what is under way for a project, and waits for its end. */
  async stop(projectId: string): Promise<void> {
    const running = this.#running.get(projectId)
    running?.stop.abort(new AioError('CANCELLED', 'It is not wanted any more.'))
    await running?.done
  }

  /** Stops what is under way. A checkout goes on until this process ends, and is cleared away at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = Promise.all([...this.#running.keys()].map(async (id) => await this.stop(id)))
    await Promise.race([stopped, sleep(STOP_MS, undefined, { ref: false })])
  }

  async #warm(projectId: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { projects, bases, setups } = this.#runtime
    if (!projects.list().some(({ id }) => id === projectId)) return
    const project = projects.require(projectId)
    const paths = projects.paths(projectId)
    // No session has this branch: a slug has no underscore.
    const { commit } = await findStart(paths.repo, project, { branch: 'aio_warm' })
    await bases.require(paths, commit, project.defaultBranch)
    const steps = { signal, progress: () => undefined }
    const { layer } = await setups.require(paths, commit, project, steps)
    await this.#prune(projectId, new Set([commit, ...(layer === undefined ? [] : [layer])]))
  }

  async #prune(projectId: string, warm: ReadonlySet<string>): Promise<void> {
    const { projects, bases, store } = this.#runtime
    const paths = projects.paths(projectId)
    const held = new Set(warm)
    const bundles = new Set(await readdir(paths.bundles))
    for (const name of bundles) {
      const bundle = join(paths.bundles, name)
      const layers = layersOf(bundle)
      for (const layer of layers ?? []) held.add(layer.replace(/\/upper$/, ''))
      // Which base it lies on is known to nobody else, if it lies on any.
      if (layers === undefined && store.get(name) === undefined && (await pathExists(join(bundle, 'upper')))) return
    }
    await bases.prune(paths, (name) => {
      const [commit = name, setup] = name.split('.')
      const users = store
        .list()
        .filter(({ session }) => session.projectId === projectId && session.base.commit === commit)
      if (held.has(name)) return true
      // What lies on a setup is known from bundles; one that was not there yet when they were read may do so too.
      return setup === undefined ? users.length > 0 : users.some((user) => isNew(user, bundles))
    })
  }
}

function isNew({ session }: SessionRecord, bundles: ReadonlySet<string>): boolean {
  return session.state === 'starting' || !bundles.has(session.id)
}
