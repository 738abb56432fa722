import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, VERSION } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { readIfPresent } from './disk/read-if-present.ts'
import { writeFileDurably } from './disk/write-file-durably.ts'

const schema = z.object({ url: z.url(), pid: z.number().int().positive(), version: z.string() })

/** `$AIO_HOME/relay.json`: where the running relay of this home is, for the CLI and for a second relay. */
export class RelayFile {
  readonly #path: string

  constructor(aioHome: string) {
    this.#path = join(aioHome, 'relay.json')
  }

  /** @throws AioError CONFLICT when a relay of this home runs and answers. */
  async refuseSecond(): Promise<void> {
    const found = await this.#read()
    if (found === undefined || found.pid === process.pid || !isAlive(found.pid)) return
    if (!(await answers(found.url))) return
    throw new AioError(
      'CONFLICT',
      `A relay of this AIO_HOME is already running at ${found.url} (pid ${found.pid}). Use that one, stop it, or set another AIO_HOME.`,
    )
  }

  /** Says where this relay is. */
  async write(url: string): Promise<void> {
    await writeFileDurably(this.#path, `${JSON.stringify({ url, pid: process.pid, version: VERSION })}\n`)
  }

  /** Removes it, when it is ours. */
  async remove(): Promise<void> {
    if ((await this.#read())?.pid === process.pid) await rm(this.#path, { force: true })
  }

  async #read() {
    const text = await readIfPresent(this.#path)
    if (text === undefined) return undefined
    try {
      return schema.parse(JSON.parse(text))
    } catch {
      return undefined // a damaged one says nothing, and is written anew
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(new URL('/health', url), { signal: AbortSignal.timeout(2_000) })
    return response.ok
  } catch {
    return false // nobody there: the file was left by a relay that was killed
  }
}
