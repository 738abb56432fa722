import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Project } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { aProject, FakeOrchestrator } from '../test-support/fake-orchestrator.ts'
import { TestRelay } from '../test-support/test-relay.ts'

const update = (name: string) => ({ type: 'project_updated' as const, projectId: name, project: aProject(name) })

test('a number of an outbox is taken once, also from a new process; another outbox begins anew', async () => {
  await using relay = await TestRelay.start()
  await using client = relay.client()
  const names = async () => (await client.call.projects.list.query()).map(({ id }) => id).toSorted()
  const id = ulid()
  {
    await using fake = await FakeOrchestrator.connect(relay, { id, outbox: 'one' })
    await fake.publishAt(1, update('a'))
    await fake.publishAt(7, update('b'))
    expect(await names()).toEqual(['a', 'b'])
  }
  const projects = [aProject('a'), aProject('b')]
  {
    await using fake = await FakeOrchestrator.connect(relay, { id, outbox: 'one', projects })
    await fake.publishAt(1, update('x'))
    await fake.publishAt(7, update('x'))
    await fake.publishAt(8, update('c'))
    expect(await names()).toEqual(['a', 'b', 'c'])
  }
  await using fake = await FakeOrchestrator.connect(relay, { id, outbox: 'two', projects })
  await fake.publishAt(3, update('d'))
  expect(await names()).toEqual(['a', 'b', 'd'])
})

test('what was taken before a restart of the relay is not taken again', async () => {
  const home = await mkdtemp(join(tmpdir(), 'aio-relay-taken-'))
  const id = ulid()
  const journaled = async (work: (fake: FakeOrchestrator) => Promise<void>, projects: Project[]) => {
    await using relay = await TestRelay.start({ home })
    await using fake = await FakeOrchestrator.connect(relay, { id, outbox: 'one', projects })
    const { journal } = relay.relay.services
    await journal.settled()
    const before = journal.head
    await work(fake)
    return journal.head - before
  }
  const there = (state: 'a' | 'b') => ({ ...aProject('p'), title: state })
  const said = (state: 'a' | 'b') => ({ type: 'project_updated' as const, projectId: 'p', project: there(state) })
  const said12 = async (fake: FakeOrchestrator) => {
    await fake.publishAt(1, said('a'))
    await fake.publishAt(2, said('b'))
  }
  expect(await journaled(said12, [])).toBe(2)
  // Its answer was lost, so it says both again: the older of the two would be a step back.
  expect(await journaled(said12, [there('b')])).toBe(0)
  expect(await journaled((fake) => fake.publishAt(3, said('a')), [there('b')])).toBe(1)
  await rm(home, { recursive: true })
})

test('watchers are told of events that an orchestrator had to drop, and get the state as it is (E-3, E-5)', async () => {
  await using relay = await TestRelay.start()
  await using client = relay.client()
  await using fake = await FakeOrchestrator.connect(relay, { outbox: 'one' })
  const seen: string[] = []
  await new Promise<void>((resolve, reject) => {
    client.call.events.watch.subscribe(
      {},
      {
        onStarted: () => resolve(),
        onData: ({ data }) => seen.push(data.type === 'gap' ? `gap ${data.reason}` : data.type),
        onError: reject,
      },
    )
  })
  await fake.publishAt(2, update('b'), 3)
  await expect.poll(() => seen.slice(-3)).toEqual(['gap overflow', 'snapshot', 'project_updated'])
})
