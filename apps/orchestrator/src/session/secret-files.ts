import { existsSync } from 'node:fs'
import { chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../process/run.ts'
import type { Bind } from './container.ts'
import { isMounted } from './mounts.ts'
import { shortHash } from './paths.ts'
import { AGENT_UID } from './uid-range.ts'

/** Where a session finds its secrets, one file each. */
const INSIDE = '/project/.secrets'

/** All secrets of all sessions of this machine, in memory; a session's are at most 100 files of 128 KiB. */
const SIZE = '512m'

/**
 * Makes variables of the files, then becomes the program: values stand in no argument, configuration or environment of
 * the host's. The mark keeps line breaks at a value's end, which the shell would drop.
 */
const SCRIPT = `for _aio_file in ${INSIDE}/*; do [ -f "$_aio_file" ] || continue
_aio_value=$(cat -- "$_aio_file"; printf .); export "\${_aio_file##*/}=\${_aio_value%.}"; done
unset _aio_file _aio_value; exec "$@"`

/** A program that is to have the session's secrets in its environment. */
export function withSecrets(argv: readonly string[]): string[] {
  return ['/bin/sh', '-c', SCRIPT, 'aio', ...argv]
}

/**
 * The secrets of sessions that run, as files in memory (tmpfs) that only their own containers see. They vanish with the
 * session's process, and at a reboot.
 */
export class SecretFiles {
  readonly #directory: string

  constructor(aioRun: string) {
    this.#directory = join(aioRun, 'secrets')
  }

  /** What a container needs to see of it. */
  bind(sessionId: string): Bind {
    return { source: this.#of(sessionId), destination: INSIDE, isWritable: false }
  }

  /**
   * Puts a session's secrets where its container finds them, readable by its user alone.
   *
   * @throws AioError ISOLATION_UNAVAILABLE when there can be no place in memory for them.
   */
  async give(sessionId: string, values: ReadonlyMap<string, string>, uidBase: number): Promise<void> {
    await this.#prepare()
    const directory = this.#of(sessionId)
    const owner = uidBase + AGENT_UID
    await mkdir(directory, { recursive: true, mode: 0o500 })
    // Emptied and not made anew: a container that waits sees this very directory.
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true })
    for (const [name, value] of values) {
      const file = join(directory, name)
      await writeFile(file, value, { mode: 0o400, flag: 'wx' })
      await chown(file, owner, owner)
    }
    await chown(directory, owner, owner)
  }

  /** Tells whether a session was given a place for secrets. */
  has(sessionId: string): boolean {
    return existsSync(this.#of(sessionId))
  }

  /** Makes the place of one session that of another, for a container that sees it already; does nothing without one. */
  async rename(from: string, to: string): Promise<void> {
    if (!this.has(from)) return
    await this.take(to)
    await rename(this.#of(from), this.#of(to))
  }

  /** Takes a session's secrets back. */
  async take(sessionId: string): Promise<void> {
    await rm(this.#of(sessionId), { recursive: true, force: true })
  }

  async #prepare(): Promise<void> {
    if (isMounted(this.#directory)) return
    await mkdir(this.#directory, { recursive: true, mode: 0o711 })
    const mount = async (options: string) =>
      await run(
        'mount',
        ['--types', 'tmpfs', '--options', `nosuid,nodev,mode=0711,size=${SIZE}${options}`, 'aio', this.#directory],
        {
          errorCode: 'ISOLATION_UNAVAILABLE',
        },
      )
    // Kernels before 6.4 do not know `noswap`; there, memory may reach the machine's swap.
    await mount(',noswap').catch(async () => await mount(''))
  }

  #of(sessionId: string): string {
    return join(this.#directory, shortHash(sessionId))
  }
}
