import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OrchestratorEvent } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterEach, describe, expect, it } from 'vitest'
import { Journal } from '../journal/journal.ts'
import { createLogger } from '../log.ts'
import { Outbox } from './outbox.ts'

const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal[Symbol.asyncDispose]()
})

/** An outbox over a real journal; `again` is what a new process finds after this one was killed. */
async function setUp(options: { maxBytes?: number } = {}) {
  const path = join(await mkdtemp(join(tmpdir(), 'aio-outbox-')), 'journal.db')
  const again = async () => {
    const journal = await Journal.open({ path, log: createLogger('silent') })
    opened.push(journal)
    return new Outbox(journal, options)
  }
  return { outbox: await again(), again }
}

const commandId = ulid()
const progress = (message: string): OrchestratorEvent => ({ type: 'command_progress', commandId, message })
const state = (projectId: string): OrchestratorEvent => ({ type: 'project_removed', projectId })
const final = (output: string): OrchestratorEvent => ({ type: 'command_result', commandId, command: 'x', output })

function say(outbox: Outbox): string[] {
  return outbox.batch().map(({ event }) => {
    if (event.type === 'command_progress') return `progress ${event.message}`
    if (event.type === 'command_result') return `result ${String(event.output)}`
    return event.type === 'project_removed' ? `removed ${event.projectId}` : event.type
  })
}

describe('Outbox', () => {
  it('sends a final state, and what follows it, only when it is on the disk', async () => {
    const { outbox } = await setUp()
    for (const event of [state('a'), final('1'), state('b')]) outbox.add(event)
    expect(say(outbox)).toEqual(['removed a'])
    await expect.poll(() => say(outbox)).toEqual(['removed a', 'result 1', 'removed b'])
  })

  it('has after a crash what the relay has not taken, in order and under the same numbers', async () => {
    const { outbox, again } = await setUp()
    for (const event of [state('a'), final('1'), state('b'), final('2')]) outbox.add(event)
    await expect.poll(() => outbox.batch()).toHaveLength(4)
    const [first, ...rest] = outbox.batch()
    outbox.taken(first?.seq ?? 0)
    await sleep(500) // that it was taken is not written at once
    const next = await again()
    expect(next.id).toBe(outbox.id)
    expect(next.batch()).toEqual(rest)
    next.add(state('c'))
    expect(next.batch().at(-1)?.seq).toBeGreaterThan(rest.at(-1)?.seq ?? 0)
  })

  it('never uses a number twice, also when nothing of it was written', async () => {
    const { outbox, again } = await setUp()
    outbox.add(progress('sent at once'))
    const [sent] = outbox.batch()
    outbox.taken(sent?.seq ?? 0)
    const next = await again()
    next.add(progress('of another process'))
    expect(next.batch()[0]?.seq).toBeGreaterThan(sent?.seq ?? 0)
  })

  it('drops the oldest progress first, then old states, never a final state, and marks each hole', async () => {
    const { outbox, again } = await setUp({ maxBytes: 6_000 })
    const long = '.'.repeat(500)
    outbox.add(final('kept'))
    for (const name of ['a', 'b', 'c']) {
      outbox.add(progress(`${name}${long}`))
      outbox.add(state(`${name}-state`))
    }
    expect(outbox.batch()).toEqual([]) // not on the disk yet
    await expect.poll(() => outbox.batch()).toHaveLength(7)
    for (let count = 0; count < 7; count += 1) outbox.add(progress(`${count}${long}`))
    const heads = () => outbox.batch().map(({ event, lost }) => [event.type, lost ?? 0])
    expect(heads().slice(0, 5)).toEqual([
      ['command_result', 0],
      ['project_removed', 1],
      ['project_removed', 1],
      ['command_progress', 0],
      ['project_removed', 0],
    ])
    expect(outbox.bytes).toBeLessThanOrEqual(6_000)
    const total = outbox.batch().length + outbox.batch().reduce((sum, { lost }) => sum + (lost ?? 0), 0)
    expect(total).toBe(14)

    for (let count = 0; count < 12; count += 1) outbox.add(final(long))
    expect(outbox.bytes).toBeGreaterThan(6_000)
    await expect.poll(() => outbox.batch()).toHaveLength(13)
    expect(new Set(heads().map(([type]) => type))).toEqual(new Set(['command_result']))
    expect(heads()[1]).toEqual(['command_result', 13])
    await sleep(500) // drops are not written at once
    expect((await again()).batch()).toEqual(outbox.batch())
  })

  it('cuts batches by the bytes that cross the wire', async () => {
    const { outbox } = await setUp()
    for (let count = 0; count < 300; count += 1) outbox.add(progress('€'.repeat(1_900)))
    const batch = outbox.batch()
    expect(batch.length).toBeGreaterThan(1)
    expect(Buffer.byteLength(JSON.stringify(batch))).toBeLessThan(1024 * 1024)
  })
})
