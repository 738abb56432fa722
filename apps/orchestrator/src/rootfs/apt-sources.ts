import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'

/**
 * The files in which apt of this machine names its package sources, those without any source left out.
 *
 * @throws AioError EXEC_ERROR when there is none.
 */
export async function aptSources(aptDirectory = '/etc/apt'): Promise<string[]> {
  const parts = join(aptDirectory, 'sources.list.d')
  const names = (await unlessMissing(readdir(parts))) ?? []
  const files = [
    join(aptDirectory, 'sources.list'),
    ...names
      .filter((name) => /\.(list|sources)$/.test(name))
      .toSorted()
      .map((name) => join(parts, name)),
  ]
  const texts = await Promise.all(files.map(async (file) => await unlessMissing(readFile(file, 'utf8'))))
  const used = files.filter((_, index) => /^\s*(deb\s|Types:.*\bdeb\b)/im.test(texts[index] ?? ''))
  if (used.length === 0)
    throw new AioError(
      'EXEC_ERROR',
      `${aptDirectory} names no package sources, and a root filesystem is built from those of this machine. Name some, so that \`apt-get update\` works.`,
    )
  return used
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  return await reading.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
