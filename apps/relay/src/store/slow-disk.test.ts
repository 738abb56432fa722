import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { DurableJournal } from '../journal/durable-journal.ts'
import { aProject, FakeOrchestrator } from '../test-support/fake-orchestrator.ts'
import { TestRelay } from '../test-support/test-relay.ts'
import { Store } from './store.ts'

const KEEP = { maxEvents: 1_000_000, maxBytes: 2 ** 30, maxAgeMs: 3_600_000 }
const ID = '0'.repeat(26)
const said = (message: string) => ({ type: 'command_progress', orchestratorId: ID, commandId: ID, message }) as const

test('a queue that the disk does not keep up with is cut: events go, what must be kept stays, and who waits is answered', async () => {
  const home = await mkdtemp(join(tmpdir(), 'aio-slow-'))
  const backlog = { maxEntries: 50, congestedEntries: 20 }
  const path = join(home, 'relay.db')
  const options = {
    path,
    retention: KEEP,
    log: pino({ level: 'silent' }),
    backlog,
    reserveBytes: 64 * 1024,
    commitDelayMs: 200,
  }
  const store = await Store.open(options)
  const journal = new DurableJournal({ store })
  let shed = 0
  store.onShed((events) => {
    shed += events
    journal.append({ type: 'gap', reason: 'overflow', to: `${journal.epoch}.${journal.head}` })
  })
  journal.append(said('first'))
  await sleep(50) // it is under way, and the rest waits behind it
  const answered: string[] = []
  let largest = 0
  for (let n = 0; n < 300; n += 1) {
    journal.append(said(`${n}`))
    if (n % 10 === 0) store.add({ statement: 'putToken', values: [`token-${n}`, '{}'] })
    store.add({ statement: 'putMeta', values: ['same', String(n)] })
    if (n % 50 === 25) void store.settled().then(() => answered.push(`after ${n}`))
    largest = Math.max(largest, store.backlog)
  }
  expect([largest < 120, store.isCongested, shed > 200]).toEqual([true, true, true])
  await store.room()
  await store.settled()
  expect(answered).toHaveLength(6)
  expect(store.rows('SELECT count(*) AS n FROM tokens')).toMatchObject([{ n: 30 }])
  expect(store.rows("SELECT value FROM meta WHERE key = 'same'")).toMatchObject([{ value: '299' }])
  // Numbers go on without a hole, and where events went there is a gap.
  const events = journal.read(0, 1_000) ?? []
  expect(events.map(({ position }) => Number(position.split('.')[1]))).toEqual(events.map((_, n) => n + 1))
  const rest = events.filter(({ type }) => type !== 'gap')
  expect(shed).toBeGreaterThanOrEqual(301 - rest.length) // earlier gaps are among them
  const last = events.findLastIndex(({ type }) => type === 'gap')
  expect(last).toBeGreaterThan(0)
  const behind = events.slice(last + 1).map((event) => ('message' in event ? event.message : ''))
  expect(behind).toEqual(behind.map((_, n) => `${300 - behind.length + n}`))
  await store.close()
  await rm(home, { recursive: true })
})

test('while the disk takes two seconds per commit, callers are told to come again and machines wait (F-27)', async () => {
  const disk = { commitDelayMs: 2_000, backlog: { congestedEntries: 20 } }
  await using relay = await TestRelay.start({ disk })
  await using fake = await FakeOrchestrator.connect(relay, { projects: [aProject('p')], outbox: 'one' })
  const { storage } = relay.relay.services
  await using client = relay.client()
  const refusals = new Set<string>()
  let largest = 0
  let tried = 0
  const flood = async () => {
    for (let n = 0; n < 30; n += 1) {
      tried += 1
      await client.call.projects.delete.mutate({ projectId: 'nothing', commandId: ulid() }).catch((error: unknown) => {
        refusals.add(JSON.stringify(error instanceof Error ? Reflect.get(error, 'data') : undefined))
      })
      largest = Math.max(largest, storage.backlog)
    }
  }
  await Promise.all([flood(), flood(), flood()])
  expect(tried).toBe(90)
  // Each call is two lines of the audit; those that came when it was too much left none.
  expect(largest).toBeLessThan(40)
  expect([...refusals].some((data) => data.includes('"UNAVAILABLE"') && data.includes('"retryAfterMs":1000'))).toBe(
    true,
  )
  expect(await client.call.projects.list.query()).toHaveLength(1)
  const published = fake.publish({ type: 'project_updated', project: { ...aProject('p'), title: 'later' } })
  await sleep(100)
  expect([storage.isCongested, relay.relay.services.fleet.requireProject('p').title]).toEqual([true, undefined])
  await published
  expect(await client.call.projects.get.query({ projectId: 'p' })).toMatchObject({ title: 'later' })
})
