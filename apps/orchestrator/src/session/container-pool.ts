import { toAioError } from '@ai-orchestration/protocol'
import { isAlive } from './host-process.ts'
import type { SessionRuntime } from './runtime.ts'
import { discardWaiting, isWaiting, startWaiting, type Waiting, waitingKey } from './waiting-container.ts'

/**
 * Containers that wait for a session, as many for each project as its setting `pool` says. They are started one at a time,
 * belong to this orchestrator alone and end with it; what an earlier one left is removed when sessions are adopted.
 */
export class ContainerPool implements AsyncDisposable {
  readonly #runtime: SessionRuntime
  readonly #waiting = new Map<string, Waiting[]>()
  readonly #stop = new AbortController()
  #turn: Promise<void> = Promise.resolve()

  constructor(runtime: SessionRuntime) {
    this.#runtime = runtime
  }

  /** How many wait for sessions of a project. */
  count(projectId: string): number {
    return this.#waiting.get(projectId)?.length ?? 0
  }

  /** True while one is being started or ended, or begins to be a session's. */
  get isStarting(): boolean {
    return this.#runtime.waitingRanges.size > this.pids().length
  }

  /** A process of each container that waits. */
  pids(): number[] {
    return [...this.#waiting.values()].flat().map(({ process }) => process.pid)
  }

  /** Takes one that fits what the project is now; `undefined` when there is none. */
  async take(projectId: string): Promise<Waiting | undefined> {
    if (this.count(projectId) === 0) return undefined
    const key = await waitingKey(this.#runtime, projectId)
    const here = this.#waiting.get(projectId) ?? []
    // What does not fit is left for the next `keep`, which clears it away.
    const index = here.findIndex((waiting) => waiting.key === key && isAlive(waiting.process))
    const [found] = index < 0 ? [] : here.splice(index, 1)
    if (found === undefined || isWaiting(this.#runtime.paths(found.id))) return found
    await discardWaiting(this.#runtime, found.id)
    return undefined
  }

  /** Brings a project's pool to its size, and removes from it what fits no more. Never fails. */
  async keep(projectId: string): Promise<void> {
    await this.#inTurn(projectId, async () => await this.#keep(projectId))
  }

  /** Removes all that wait for a project. Never fails. */
  async drop(projectId: string): Promise<void> {
    await this.#inTurn(projectId, async () => await this.#remove(projectId, () => true))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#waiting.keys()].map(async (projectId) => await this.drop(projectId)))
    await this.#turn
  }

  async #inTurn(projectId: string, action: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(action).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return
      const { code, message } = toAioError(error)
      this.#runtime.log.warn({ project: projectId, code }, `containers could not be kept waiting: ${message}`)
    })
    this.#turn = mine
    await mine
  }

  async #keep(projectId: string): Promise<void> {
    const { projects, refusals, choice } = this.#runtime
    const isThere = projects.list().some(({ id }) => id === projectId)
    // The others have no record of a container that could be given another name.
    const canWait = choice.name === 'runc' && refusals.length === 0
    const size = isThere && canWait ? (projects.require(projectId).pool ?? 0) : 0
    const before = this.#waiting.get(projectId) ?? []
    if (size === 0 && before.length === 0) return
    const key = size === 0 ? '' : await waitingKey(this.#runtime, projectId)
    await this.#remove(projectId, (waiting, index) => index >= size || waiting.key !== key || !isAlive(waiting.process))
    while (!this.#stop.signal.aborted && this.count(projectId) < size) {
      const waiting = await startWaiting(this.#runtime, projectId, this.#stop.signal)
      this.#waiting.set(projectId, [...(this.#waiting.get(projectId) ?? []), waiting])
    }
  }

  async #remove(projectId: string, isUseless: (waiting: Waiting, index: number) => boolean): Promise<void> {
    const before = this.#waiting.get(projectId) ?? []
    const useless = before.filter(isUseless)
    this.#waiting.set(
      projectId,
      before.filter((waiting) => !useless.includes(waiting)),
    )
    for (const { id } of useless) await discardWaiting(this.#runtime, id)
  }
}
