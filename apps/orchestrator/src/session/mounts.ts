import { readFileSync } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'

/** Tells whether something is mounted exactly at this path. */
export function isMounted(path: string): boolean {
  return mountPoints().includes(path)
}

/** Every mount point of this machine, in order of mounting. */
export function mountPoints(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
}

/** Takes away what is mounted at a path; does nothing when nothing is. A mount still in use goes when its last user does. */
export async function unmount(path: string): Promise<void> {
  if (!isMounted(path)) return
  const result = await run('umount', ['--no-canonicalize', '--', path], { allowFailure: true })
  if (result.exitCode === 0 || !isMounted(path)) return
  await run('umount', ['--no-canonicalize', '--lazy', '--', path])
  if (isMounted(path)) throw new AioError('EXEC_ERROR', `${path} could not be unmounted.`)
}
