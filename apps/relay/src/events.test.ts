import type { AioEvent, EventFilter } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { aProject, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { type TestClient, TestRelay } from './test-support/test-relay.ts'

/** Watches and collects; resolves once the subscription has begun. */
async function watch(
  client: TestClient,
  filter: EventFilter & { lastEventId?: string } = {},
): Promise<{ events: AioEvent[]; ids: string[]; stop: () => void }> {
  const events: AioEvent[] = []
  const ids: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const subscription = client.call.events.watch.subscribe(filter, {
    onStarted: () => resolve(),
    onData: ({ id, data }) => {
      ids.push(id)
      // The client's inferred type makes `unknown` fields optional; it is the same data.
      events.push(data as AioEvent)
    },
    onError: reject,
  })
  await promise
  return { events, ids, stop: () => subscription.unsubscribe() }
}

const typesOf = (events: AioEvent[]) => events.map(({ type }) => type)

test('live events come in order with contiguous positions, and a filter narrows them (E-1)', async () => {
  await using relay = await TestRelay.start()
  await using client = relay.client()
  const all = await watch(client)
  const one = await watch(client, { projectId: 'one' })
  await using fake = await FakeOrchestrator.connect(relay)
  await fake.publish(
    { type: 'project_updated', project: aProject('one', fake.id) },
    { type: 'project_updated', project: aProject('two', fake.id) },
    { type: 'session_updated', session: aSession('one', 'a', fake.id) },
    { type: 'session_updated', session: aSession('two', 'b', fake.id) },
    { type: 'session_removed', projectId: 'one', sessionId: 'one_a' },
  )
  await expect.poll(() => all.events.length).toBe(6)
  expect(all.events.map(({ position }) => Number(position.split('.')[1]))).toEqual([1, 2, 3, 4, 5, 6])
  expect(all.ids).toEqual(all.events.map(({ position }) => position))
  expect(typesOf(one.events)).toEqual(['project_updated', 'session_updated', 'session_removed'])
})

test('a watcher resumes behind its position without a hole and without repeats (E-2)', async () => {
  await using relay = await TestRelay.start()
  await using client = relay.client()
  const first = await watch(client)
  await using fake = await FakeOrchestrator.connect(relay)
  const update = (name: string) => fake.publish({ type: 'project_updated', project: aProject(name, fake.id) })
  await update('a')
  await expect.poll(() => first.events.length).toBe(2)
  first.stop()
  await update('b')
  await update('c')
  const second = await watch(client, { lastEventId: first.ids.at(-1) ?? '' })
  await update('d')
  await expect.poll(() => second.events.length).toBe(3)
  expect(second.events.map((event) => event.type === 'project_updated' && event.project.id)).toEqual(['b', 'c', 'd'])
})

test('after a restart of the relay the first item is a gap, then a snapshot of what the orchestrators say (E-3)', async () => {
  const first = await TestRelay.start()
  const before = first.client()
  const watched = await watch(before)
  const old = await FakeOrchestrator.connect(first)
  await expect.poll(() => watched.events.length).toBe(1)
  const last = watched.ids.at(-1) ?? ''
  await before[Symbol.asyncDispose]()
  await old[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()

  await using second = await TestRelay.start()
  await using fake = await FakeOrchestrator.connect(second, { projects: [aProject('p', old.id)], id: old.id })
  await using client = second.client()
  const resumed = await watch(client, { after: last })
  await expect.poll(() => resumed.events.length).toBe(2)
  expect(resumed.events).toMatchObject([
    { type: 'gap', reason: 'epoch', from: last },
    { type: 'snapshot', orchestrators: [{ id: fake.id, state: 'online' }], projects: [{ id: 'p' }], sessions: [] },
  ])
  // Who is cut off between the two gets both again; who has the snapshot goes on behind it.
  expect(resumed.ids[0]).toBe(last)
  const onwards = await watch(client, { after: resumed.ids[1] ?? '' })
  await fake.publish({ type: 'project_removed', projectId: 'p' })
  await expect.poll(() => typesOf(onwards.events)).toEqual(['project_removed'])
})

test('a position that is no longer kept gives gap and snapshot, and so does one from the future', async () => {
  await using relay = await TestRelay.start({ retention: { maxEvents: 5 } })
  await using fake = await FakeOrchestrator.connect(relay)
  for (let i = 0; i < 20; i += 1) await fake.publish({ type: 'project_updated', project: aProject(`p${i}`, fake.id) })
  const { epoch } = relay.relay.services.journal
  await using client = relay.client()
  for (const after of [`${epoch}.3`, `${epoch}.999`]) {
    const late = await watch(client, { after })
    await expect.poll(() => late.events.length).toBe(2)
    expect(late.events).toMatchObject([
      { type: 'gap', reason: 'retention', from: after, to: `${epoch}.21` },
      { type: 'snapshot', position: `${epoch}.21` },
    ])
  }
  const kept = await watch(client, { after: `${epoch}.18` })
  await expect.poll(() => kept.events.length).toBe(3)
})

test('a reader that stalls costs no memory and is told what it missed (E-7, S-1)', async () => {
  await using relay = await TestRelay.start({ retention: { maxEvents: 500 }, limits: { bufferSoftBytes: 64 * 1024 } })
  await using fake = await FakeOrchestrator.connect(relay)
  const socket = await relay.socket({ token: 'test-root-token-0123456789-0123456789' })
  const types: string[] = []
  socket.on('message', (data) => {
    const { result }: { result: { type: string; data?: { data: AioEvent } } } = JSON.parse(data.toString())
    if (result.data !== undefined) types.push(result.data.data.type)
  })
  socket.send(JSON.stringify({ id: 1, method: 'subscription', params: { path: 'events.watch' } }))
  await new Promise((resolve) => socket.once('message', resolve))
  socket.pause()
  const project = { ...aProject('p', fake.id), repoUrl: `https://example.org/${'x'.repeat(10_000)}` }
  for (let i = 0; i < 60; i += 1)
    await fake.publish(
      ...Array.from({ length: 50 }, (_, j) => ({
        type: 'project_updated' as const,
        project: { ...project, defaultBranch: `b${i}-${j}` },
      })),
    )
  socket.resume()
  await expect.poll(() => types.slice(-2)).toEqual(['gap', 'snapshot'])
  expect(types.length).toBeLessThan(3_000)
  socket.terminate()
})

test('a watcher that asks for a snapshot gets it first, narrowed, and goes on behind it', async () => {
  await using relay = await TestRelay.start()
  await using fake = await FakeOrchestrator.connect(relay, { projects: [aProject('a'), aProject('b')] })
  await using client = relay.client()
  const watched = await watch(client, { snapshot: true, projectId: 'a' })
  await expect.poll(() => watched.events.length).toBe(1)
  expect(watched.events).toMatchObject([{ type: 'snapshot', projects: [{ id: 'a' }] }])
  await fake.publish({ type: 'project_removed', projectId: 'a' })
  await expect.poll(() => typesOf(watched.events)).toEqual(['snapshot', 'project_removed'])
  const resumed = await watch(client, { snapshot: true, projectId: 'a', lastEventId: watched.ids[0] ?? '' })
  await expect.poll(() => typesOf(resumed.events)).toEqual(['project_removed'])
})
