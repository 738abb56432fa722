import { closeSync, constants, type FSWatcher, openSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../log.ts'

/** From the first sign of a commit until it is looked at, in milliseconds: a commit touches its files within a few. */
const SETTLE_MS = 300
/** Longest pause when signs keep coming and nothing is new, as with an agent that asks for `git status` all the time. */
const SETTLE_MAX_MS = 3_000

/** Directories of the repository in which a commit, an amend, a stash, a reset or a new branch leaves traces. */
const WATCHED = [['.git'], ['.git', 'refs', 'heads'], ['.git', 'refs', 'heads', 'feature']]

/**
 * Notices that something may have been committed in a workspace. Only directories themselves are watched, opened one
 * name at a time and never through a link, because an agent can put links into them. A sign stops the watch until it has
 * been looked at, so that an agent cannot flood the host with signs.
 */
export class CommitWatch implements Disposable {
  readonly #upper: string
  readonly #look: () => Promise<boolean>
  readonly #log: Logger
  #watchers: FSWatcher[] = []
  #timer: NodeJS.Timeout | undefined
  #fruitless = 0
  #isOver = false

  /**
   * @param upper the session's own layer.
   * @param look called after a sign; answers whether there was something new.
   */
  constructor(upper: string, look: () => Promise<boolean>, log: Logger) {
    this.#upper = upper
    this.#look = look
    this.#log = log
    this.#arm()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#disarm()
  }

  #arm(): void {
    if (this.#isOver) return
    for (const names of WATCHED) {
      const descriptor = openWithin(this.#upper, names)
      if (descriptor === undefined) continue
      try {
        const watcher = watch(`/proc/self/fd/${descriptor}`, { persistent: false }, () => this.#onSign())
        watcher.on('error', (error) => this.#log.warn({ error: error.message }, 'a workspace cannot be watched'))
        this.#watchers.push(watcher)
      } catch (error) {
        this.#log.warn({ error }, 'a workspace cannot be watched')
      } finally {
        closeSync(descriptor)
      }
    }
  }

  #disarm(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close()
  }

  #onSign(): void {
    if (this.#timer !== undefined || this.#isOver) return
    this.#disarm()
    const pause = Math.min(SETTLE_MAX_MS, SETTLE_MS * 2 ** this.#fruitless)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // Armed before looking: what happens while we look is a sign again.
      this.#arm()
      void this.#lookNow()
    }, pause).unref()
  }

  async #lookNow(): Promise<void> {
    try {
      this.#fruitless = (await this.#look()) ? 0 : Math.min(this.#fruitless + 1, 4)
    } catch (error) {
      this.#fruitless = Math.min(this.#fruitless + 1, 4)
      this.#log.warn({ error: error instanceof Error ? error.message : error }, 'commits could not be brought home')
    }
  }
}

/** Opens a directory below another, refusing links at every step. */
function openWithin(root: string, names: readonly string[]): number | undefined {
  let descriptor = openDirectory(root)
  for (const name of names) {
    if (descriptor === undefined) return undefined
    const inner = openDirectory(join(`/proc/self/fd/${descriptor}`, name))
    closeSync(descriptor)
    descriptor = inner
  }
  return descriptor
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR') return undefined
    throw error
  }
}
