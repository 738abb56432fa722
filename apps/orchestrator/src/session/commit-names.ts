import { statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { AioError } from '@ai-orchestration/protocol'
import type { PipedChild } from '../process/spawn-piped.ts'
import { spawnHostGit } from './host-git.ts'

/** A reader that nobody asks is ended after this time, in milliseconds. */
const IDLE_MS = 60_000
/** An answer that takes this long means that git hangs, in milliseconds; normally it takes less than one. */
const ANSWER_DEADLINE_MS = 10_000

interface Reader {
  child: PipedChild
  /** Which directory it was started in: a project may have been removed and made again at the same place. */
  identity: string
  answers: ((line: string) => void)[]
  idle: NodeJS.Timeout
}

const readers = new Map<string, Reader>()

/**
 * The commits that names stand for in a project's own repository, `undefined` for those it does not have. Asks one
 * `git cat-file` that is kept for a while: a process for each question is 6 ms of every creation.
 *
 * @throws AioError EXEC_ERROR when git cannot answer.
 */
export async function resolveCommits(repo: string, names: readonly string[]): Promise<(string | undefined)[]> {
  const reader = readerOf(repo)
  reader.idle.refresh()
  const answers = names.map(
    async () => await new Promise<string>((resolve) => reader.answers.push((line) => resolve(line))),
  )
  const timer = setTimeout(() => reader.child.process.kill('SIGKILL'), ANSWER_DEADLINE_MS)
  reader.child.stdin.write(names.map((name) => `${name}^{commit}\n`).join(''))
  try {
    return (await Promise.all(answers)).map((line) => {
      if (line === '')
        throw new AioError('EXEC_ERROR', 'git could not read the references of the project. Try again in a moment.')
      return /^([0-9a-f]{40,64}) commit /.exec(line)?.[1]
    })
  } finally {
    clearTimeout(timer)
  }
}

function readerOf(repo: string): Reader {
  const { dev, ino } = statSync(repo)
  const identity = `${dev}:${ino}`
  const known = readers.get(repo)
  if (known?.identity === identity) return known
  known?.child.stdin.end()
  const child = spawnHostGit(repo, ['cat-file', '--batch-check'])
  const reader: Reader = {
    child,
    identity,
    answers: [],
    idle: setTimeout(() => child.stdin.end(), IDLE_MS).unref(),
  }
  readers.set(repo, reader)
  createInterface({ input: child.stdout }).on('line', (line) => reader.answers.shift()?.(line))
  const onEnd = () => {
    clearTimeout(reader.idle)
    if (readers.get(repo) === reader) readers.delete(repo)
    for (const answer of reader.answers.splice(0)) answer('')
  }
  child.stdin.on('error', onEnd)
  child.process.on('error', onEnd).on('close', onEnd)
  child.stderr.resume()
  return reader
}
