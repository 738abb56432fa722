import { run } from '../process/run.ts'
import type { SessionPaths } from './paths.ts'

/** Longest a count may take, in milliseconds; a session with so many files that it takes longer is over any limit. */
const DEADLINE_MS = 120_000

/** What one file counts for at least, in bytes: mkfs.ext4 makes one inode for each 16 KiB (mke2fs.conf, inode_ratio). */
const BYTES_PER_FILE = 16_384

/**
 * What a session's layers and home take on disk, in bytes; empty files count as well, since a disk can run out of those.
 * Only names and sizes are looked at, by a program that follows no links.
 */
export async function diskUsage({ bundle }: SessionPaths): Promise<number> {
  const count = async (...options: string[]) => {
    const args = ['du', '--summarize', '--one-file-system', ...options, '--', 'upper', 'home', 'root/upper']
    // Files come and go meanwhile, and not every session has a root of its own, which du complains of.
    const { stdout, exitCode } = await run('nice', ['-n', '19', ...args], {
      cwd: bundle,
      allowFailure: true,
      timeoutMs: DEADLINE_MS,
    })
    if (exitCode === null) return Number.POSITIVE_INFINITY
    return stdout.split('\n').reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0)
  }
  // One after the other: the second finds everything in memory.
  const bytes = await count('--block-size=1')
  return Math.max(bytes, (await count('--inodes')) * BYTES_PER_FILE)
}
