import { readFile } from 'node:fs/promises'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'

const entrySchema = z.object({
  version: z.string().optional(),
  /** Of the tarball, as npm computes and verifies it. */
  integrity: z.string().optional(),
  /** A directory of the same tree, with nothing of its own to verify. */
  link: z.boolean().optional(),
})

const lockSchema = z.object({ packages: z.record(z.string(), entrySchema) })

/** What npm's `package-lock.json` says of each package, by where it lies. */
export type NpmLock = z.output<typeof lockSchema>

/** Reads a lock file; `undefined` when there is none. @throws AioError INVALID_INPUT when it is damaged. */
export async function readLock(path: string): Promise<NpmLock | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return lockSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new AioError('INVALID_INPUT', `${path} is no lock file of npm.`, { cause: error })
  }
}

/**
 * Makes sure that what npm has installed is what was recorded. npm has verified each tarball against the checksum it
 * knew; here it is decided whether that was the right one.
 *
 * @param installed what npm says it has put on the disk.
 * @param recorded what is known of this version; when absent, every package must at least have a checksum.
 * @throws AioError EXEC_ERROR that names the first package that differs.
 */
export function assertIntegrity(what: string, installed: NpmLock, recorded: NpmLock | undefined): void {
  for (const [path, entry] of Object.entries(installed.packages)) {
    if (path === '' || entry.link === true) continue
    const known = recorded?.packages[path]
    const name = path.replace(/^.*node_modules\//, '')
    if (entry.integrity === undefined || !/^sha512-/.test(entry.integrity))
      throw refusal(what, `${name} came without a sha512 checksum`)
    if (recorded !== undefined && known?.integrity !== entry.integrity)
      throw refusal(
        what,
        known === undefined ? `${name} is not among the recorded packages` : `${name} is not the recorded one`,
      )
  }
}

function refusal(what: string, why: string): AioError {
  return new AioError(
    'EXEC_ERROR',
    `${what} was not installed: ${why}. Somebody may have changed the package, or what lies between; nothing of it was run.`,
  )
}
