import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { run } from '../process/run.ts'
import { UID_BASE, UID_COUNT } from '../session/uid-range.ts'
import type { RuntimeFacts } from './choose-runtime.ts'

/** Looks which container runtimes this machine has, and who the orchestrator is. */
export async function runtimeFacts(missingGroups: readonly string[]): Promise<RuntimeFacts> {
  const [runcVersion, bubblewrapVersion, hasSubordinateIds] = await Promise.all([
    versionOf('runc', /^runc version (\S+)/m),
    versionOf('bwrap', /^bubblewrap (\S+)/m),
    hasRanges(),
  ])
  return { isRoot: isRoot(), runcVersion, bubblewrapVersion, hasSubordinateIds, missingGroups }
}

/** Root of a user namespace that lacks the ids of sessions cannot give files to them, and counts as somebody else. */
function isRoot(): boolean {
  const end = UID_BASE + UID_COUNT
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n')
  const hasIds = ranges.some((line) => {
    const [inside = 0, , count = 0] = line.trim().split(/\s+/).map(Number)
    return inside <= UID_BASE && end <= inside + count
  })
  return process.getuid?.() === 0 && hasIds
}

/** The version a program tells; `undefined` when it is not there. */
async function versionOf(program: string, pattern: RegExp): Promise<string | undefined> {
  const { stdout } = await run(program, ['--version'], { allowFailure: true })
  return pattern.exec(stdout)?.[1]
}

async function hasRanges(): Promise<boolean> {
  const { exitCode } = await run('newuidmap', ['--help'], { allowFailure: true })
  const ranges = await readFile('/etc/subuid', 'utf8').catch(() => '')
  const { username, uid } = userInfo()
  const isThere = ranges.split('\n').some((line) => [username, String(uid)].includes(line.split(':')[0] ?? ''))
  return exitCode !== null && exitCode >= 0 && isThere
}
