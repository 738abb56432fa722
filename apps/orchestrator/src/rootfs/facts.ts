import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RootfsInfo, rootfsInfoSchema } from '@ai-orchestration/protocol'

/** In the root filesystem itself, so that it goes wherever that goes. */
const STAMP = 'etc/aio-rootfs.json'

const stampSchema = rootfsInfoSchema.pick({ builtAt: true, bytes: true }).required()

/** Puts into a root filesystem when it was built and how much space it takes. */
export async function writeStamp(root: string, stamp: { builtAt: string; bytes: number }): Promise<void> {
  await writeFile(join(root, STAMP), `${JSON.stringify(stamp)}\n`, { mode: 0o644 })
}

/** What can be said of a root filesystem by looking at it; what it does not tell is absent. */
export async function readFacts(root: string): Promise<Omit<RootfsInfo, 'kind' | 'path' | 'inUseBy'>> {
  const [release, status, stamp] = await Promise.all([
    textOf(join(root, 'usr/lib/os-release')),
    textOf(join(root, 'var/lib/dpkg/status')),
    textOf(join(root, STAMP)),
  ])
  const distribution = /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(release ?? '')?.[1]
  return {
    ...(stamp === undefined ? {} : stampSchema.parse(JSON.parse(stamp))),
    ...(distribution === undefined ? {} : { distribution }),
    ...(status === undefined ? {} : { packages: [...status.matchAll(/^Status: install ok installed$/gm)].length }),
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
