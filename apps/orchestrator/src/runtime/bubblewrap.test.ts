import { readFileSync } from 'node:fs'

import { containerIdOf } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { TestMachine } from '../session/test-machine.ts'

let machine: TestMachine
beforeAll(async () => {
  machine = await TestMachine.start(undefined, 'bubblewrap')
  await machine.project('demo')
}, 60_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const processOf = (id: string) => {
  const pid = machine.attached.get(id)
  if (pid === undefined) throw new Error(`${id} has no process.`)
  return pid
}

describe('a session in bubblewrap', { timeout: 120_000 }, () => {
  const id = 'demo_bw'

  it('starts, and says what it lacks', async () => {
    const session = await machine.create({ projectId: 'demo', name: 'bw' })
    expect(session).toMatchObject({ state: 'running', isolation: 'degraded' })
    expect(session.lacks).toEqual(['its memory is not limited', 'its use of the processor is not limited'])
    expect(machine.sessions.warnings).toEqual([expect.stringMatching(/bubblewrap.*not limited/)])
    expect(await machine.runc.list()).toEqual([])
  })
})
