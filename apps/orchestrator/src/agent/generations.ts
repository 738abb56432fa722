import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { cp, mkdir, readdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'

/** Where all agents are inside a container, and their programs. */
export const AGENTS_INSIDE = '/opt/agents'
export const PROGRAMS_INSIDE = `${AGENTS_INSIDE}/bin`

/**
 * Sets of programs: `generations/{n}/{program}` are links such as `../claude/2.1.330/…`, right where a container has the
 * set at /opt/agents/bin. `current` leads to the newest set and is switched at once; a container keeps the set it was
 * started with, and so each program's version.
 */
export class Generations {
  readonly #directory: string
  readonly #sets: string
  readonly #current: string

  /** @param directory where the versions of all agents lie. */
  constructor(directory: string) {
    this.#directory = directory
    this.#sets = join(directory, 'generations')
    this.#current = join(directory, 'current')
  }

  /** Makes the first set: of the links that an earlier version of the platform kept in `bin`, which is a mountpoint now. */
  async open(): Promise<void> {
    await mkdir(join(this.#directory, 'bin'), { recursive: true, mode: 0o755 })
    await mkdir(this.#sets, { recursive: true, mode: 0o755 })
    for (const name of await readdir(this.#sets))
      if (name.startsWith('.')) await rm(join(this.#sets, name), { recursive: true })
    if (existsSync(this.#current)) return
    await cp(join(this.#directory, 'bin'), join(this.#sets, '1'), { recursive: true, verbatimSymlinks: true })
    await this.#switchTo('1')
  }

  /** The set that new containers are given; `undefined` before the first one is made. */
  get current(): string | undefined {
    try {
      return join(this.#directory, readlinkSync(this.#current))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Which version of which agent a program is; `undefined` when there is none. */
  versionOf(program: string): { agent: string; version: string } | undefined {
    const set = this.current
    if (set === undefined || !readdirSync(set).includes(program)) return undefined
    const target = readlinkSync(join(set, program))
    const [, agent, version] = target.split('/')
    const isThere = existsSync(join(this.#directory, 'bin', target))
    return agent === undefined || version === undefined || !isThere ? undefined : { agent, version }
  }

  /** Makes a program lead to a file, given below the directory, for containers that are started from now on. */
  async lead(program: string, file: string): Promise<void> {
    await this.open()
    const before = this.current
    const numbers = (await readdir(this.#sets)).map(Number).filter(Number.isInteger)
    const next = String(Math.max(0, ...numbers) + 1)
    const unfinished = join(this.#sets, `.${next}-${randomUUID()}`)
    await mkdir(unfinished, { mode: 0o755 })
    for (const name of before === undefined ? [] : await readdir(before))
      if (name !== program && before !== undefined)
        await symlink(await readlink(join(before, name)), join(unfinished, name))
    await symlink(join('..', file), join(unfinished, program))
    await rename(unfinished, join(this.#sets, next))
    await this.#switchTo(next)
  }

  /**
   * Removes sets that no container has any more, and versions that are in no set.
   *
   * @param pids processes of containers that run; a version that one of them can reach stays.
   */
  async prune(pids: readonly number[]): Promise<void> {
    const inUse = new Set(
      await Promise.all(pids.map(async (pid) => await identityOf(`/proc/${pid}/root${PROGRAMS_INSIDE}/`))),
    )
    const current = this.current
    const kept: string[] = []
    for (const name of await readdir(this.#sets)) {
      const set = join(this.#sets, name)
      const id = await identityOf(set)
      if (name.startsWith('.') || id === undefined) continue
      if (set === current || inUse.has(id)) kept.push(set)
      else await rm(set, { recursive: true })
    }
    const links = await Promise.all(
      kept.map(
        async (set) => await Promise.all((await readdir(set)).map(async (name) => await readlink(join(set, name)))),
      ),
    )
    const needed = new Set(links.flat().map((target) => target.split('/').slice(1, 3).join('/')))
    for (const agent of await readdir(this.#directory, { withFileTypes: true })) {
      if (!agent.isDirectory() || agent.name.startsWith('.') || ['bin', 'generations'].includes(agent.name)) continue
      for (const version of await readdir(join(this.#directory, agent.name)))
        if (!needed.has(`${agent.name}/${version}`))
          await rm(join(this.#directory, agent.name, version), { recursive: true })
    }
  }

  async #switchTo(name: string): Promise<void> {
    const link = join(this.#directory, `.current-${randomUUID()}`)
    await symlink(join('generations', name), link)
    await rename(link, this.#current)
  }
}

/** Which directory it is, by whatever path it is reached; `undefined` when it, or its process, is gone. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined
    throw error
  })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}
