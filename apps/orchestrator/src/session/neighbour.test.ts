import { containerIdOf, type Session } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { TestMachine } from './test-machine.ts'

/** Pairs of looks, one with the other session frozen and one with it at work. */
const LOOKS = 9
/** The promise is 2; what the rest of a busy machine does between two looks comes on top here. */
const RATIO_MAX = 3

let machine: TestMachine
let quiet: Session

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
  quiet = await machine.create({ projectId: 'demo', name: 'quiet' })
  await answerMs()
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

/** How long a program in the quiet session takes from its start to its end, a fork and some reading included. */
async function answerMs(): Promise<number> {
  const startedAt = performance.now()
  await machine.inside(quiet.id, 'git status --porcelain >/dev/null; echo done')
  return performance.now() - startedAt
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** What each does, the limit it is to be told about, and what makes it worse than anything harmless. */
const HOGS: Record<string, { argv: string[]; told: string; limits?: Partial<Session['limits']> }> = {
  'memory hog': {
    argv: ['/bin/bash', '-c', `while :; do perl -e '$x = "a" x 300_000_000'; done`],
    told: 'memory',
    limits: { memoryMb: 128 },
  },
  'fork bomb': {
    argv: [
      '/bin/bash',
      '-c',
      `while :; do perl -e 'for (1 .. 300) { fork // last } select undef, undef, undef, 0.3'; done`,
    ],
    told: 'pids',
    limits: { pids: 64 },
  },
  'busy loop': {
    argv: ['/bin/bash', '-c', 'for i in 1 2 3 4; do (while :; do :; done) & done; wait'],
    told: 'cpu',
    limits: { cpus: 0.1 },
  },
  'log flood': { argv: ['/usr/bin/perl', '-e', '1 while print "x" x 100, "\\n"'], told: 'output' },
}

describe('I-12 a session that takes all it can get', () => {
  it.each(Object.entries(HOGS))(
    '%s: another session answers, and it is told as what it was',
    async (name, hog) => {
      const { launch } = machine
      machine.launch = { argv: hog.argv, env: {} }
      const { limits } = hog
      const { id } = await machine.create({
        projectId: 'demo',
        name: name.replace(' ', '-'),
        ...(limits === undefined ? {} : { limits }),
      })
      machine.launch = launch
      const group = `/aio-${shortHash(machine.run)}-${containerIdOf(id)}`
      const deadline = performance.now() + 40_000
      while (!machine.sessions.require(id).reached?.some(({ limit }) => limit === hog.told)) {
        if (performance.now() > deadline)
          throw new Error(`${name} was not told: ${JSON.stringify(machine.sessions.require(id))}`)
        await answerMs()
      }
      const alone: number[] = []
      const beside: number[] = []
      for (let look = 0; look < LOOKS; look += 1) {
        openCgroups().setFrozen(group, true)
        alone.push(await answerMs())
        openCgroups().setFrozen(group, false)
        beside.push(await answerMs())
      }
      expect(machine.sessions.require(id).state).toBe('running')
      expect(median(beside) / median(alone)).toBeLessThan(RATIO_MAX)
      await machine.terminate(id, true)
    },
    60_000,
  )
})
