import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AioEvent, Command } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { ulid } from 'ulid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hashSecret } from './auth/secret.ts'
import { firstLinkEpoch } from './fleet/link-epoch.ts'
import { Store } from './store/store.ts'
import { aProject, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { type TestClient, TestRelay } from './test-support/test-relay.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aio-restart-'))
})
afterEach(() => rm(home, { recursive: true }))

async function watch(client: TestClient, after?: string): Promise<AioEvent[]> {
  const events: AioEvent[] = []
  await new Promise<void>((resolve, reject) => {
    client.call.events.watch.subscribe(after === undefined ? {} : { after }, {
      onStarted: () => resolve(),
      onData: ({ data }) => events.push(data as AioEvent),
      onError: reject,
    })
  })
  return events
}

const run = (client: TestClient, commandId: string, input: unknown = {}) =>
  client.call.commands.run.mutate({ commandId, command: 'custom', input, ttlMs: 60_000 }) as Promise<Command>
const stateOf = async (client: TestClient, commandId: string) =>
  (await client.call.commands.get.query({ commandId })).state

describe('over a restart of the relay', () => {
  test('a watcher resumes without a gap, and sees also what was removed meanwhile (E-1, E-2)', async () => {
    const first = await TestRelay.start({ home })
    const fake = await FakeOrchestrator.connect(first, {
      projects: [aProject('p')],
      sessions: [aSession('p', 'a'), aSession('p', 'b')],
    })
    const before = first.client()
    await first.relay.services.journal.settled() // what its joining brought is not new any more
    const seen = await watch(before)
    await fake.publish({ type: 'session_updated', session: { ...aSession('p', 'a'), title: 'x' } })
    await expect.poll(() => seen.length).toBe(1)
    await before[Symbol.asyncDispose]()
    await first[Symbol.asyncDispose]()

    await using second = await TestRelay.start({ home })
    await using client = second.client()
    // What is known of the machines is still there, before they are.
    expect((await client.call.sessions.list.query()).map(({ id }) => id)).toEqual(['p_a', 'p_b'])
    expect(await client.call.orchestrators.list.query()).toMatchObject([{ id: fake.id, state: 'offline' }])
    await fake[Symbol.asyncDispose]()
    await using _back = await FakeOrchestrator.connect(second, {
      id: fake.id,
      projects: [aProject('p')],
      sessions: [{ ...aSession('p', 'a'), title: 'x' }],
    })
    const resumed = await watch(client, seen.at(-1)?.position)
    await expect.poll(() => resumed.map(({ type }) => type).at(-1)).toBe('session_removed')
    expect(resumed.map(({ type }) => type)).toEqual(['orchestrator_left', 'orchestrator_joined', 'session_removed'])
    expect(resumed.map(({ position }) => Number(position.split('.')[1]))).toEqual([6, 7, 8])
  })

  test('with a damaged database the first item is a gap that says so, then a snapshot (E-3)', async () => {
    const first = await TestRelay.start({ home })
    const { epoch } = first.relay.services.journal
    await first[Symbol.asyncDispose]()
    await writeFile(join(home, 'relay/relay.db'), 'x'.repeat(100_000))
    await using second = await TestRelay.start({ home })
    await using client = second.client()
    const seen = await watch(client, `${epoch}.1`)
    await expect.poll(() => seen.length).toBe(2)
    expect(seen).toMatchObject([{ type: 'gap', reason: 'corruption', from: `${epoch}.1` }, { type: 'snapshot' }])
  })

  test('with one damaged event a watcher gets a gap that says so in its place, not the event (F-24, E-3)', async () => {
    const first = await TestRelay.start({ home })
    const { epoch } = first.relay.services.journal
    const fake = await FakeOrchestrator.connect(first, { projects: [aProject('p')], sessions: [aSession('p', 'a')] })
    await fake.publish({ type: 'session_updated', session: { ...aSession('p', 'a'), title: 'as it was written' } })
    await fake.publish({ type: 'session_updated', session: { ...aSession('p', 'a'), title: 'later' } })
    for (const one of [fake, first]) await one[Symbol.asyncDispose]()
    const path = join(home, 'relay/relay.db')
    const text = (await readFile(path, 'latin1')).replace('as it was written', 'as it was writteN')
    await writeFile(path, text, 'latin1')

    await using second = await TestRelay.start({ home })
    await using client = second.client()
    const seen = await watch(client, `${epoch}.1`)
    await expect.poll(() => seen.map(({ type }) => type)).toContain('snapshot')
    const gap = seen.findIndex(({ type }) => type === 'gap')
    expect(seen.slice(gap)).toMatchObject([{ type: 'gap', reason: 'corruption' }, { type: 'snapshot' }])
    expect(JSON.stringify(seen)).not.toContain('writteN')
  })

  test('epochs of links grow, also when the clock was set back (C-9)', async () => {
    const first = await TestRelay.start({ home })
    const fake = await FakeOrchestrator.connect(first)
    await fake[Symbol.asyncDispose]()
    await first[Symbol.asyncDispose]()
    const store = await Store.open({
      path: join(home, 'relay/relay.db'),
      retention: { maxEvents: 1, maxBytes: 1, maxAgeMs: 1 },
      log: pino({ level: 'silent' }),
    })
    expect(await firstLinkEpoch(store, 1_000)).toBeGreaterThan(fake.epoch)
    await store.close()
  })

  test('a command that had ended gives the same answer and runs no second time (C-3)', async () => {
    const commandId = ulid()
    const first = await TestRelay.start({ home })
    const fake = await FakeOrchestrator.connect(first)
    const before = first.client()
    const answer = run(before, commandId, { a: 1 })
    await expect.poll(() => fake.dispatched.length).toBe(1)
    await fake.publish({ type: 'command_result', commandId, command: 'custom', output: { n: 7 } })
    const ended = await answer
    for (const one of [fake, before, first]) await one[Symbol.asyncDispose]()

    await using second = await TestRelay.start({ home })
    await using back = await FakeOrchestrator.connect(second, { id: fake.id })
    await using client = second.client()
    expect(await run(client, commandId, { a: 1 })).toEqual(ended)
    await expect(run(client, commandId, { a: 2 })).rejects.toMatchObject({ data: { code: 'CONFLICT' } })
    expect(await client.call.commands.list.query()).toEqual([ended])
    expect(back.dispatched).toEqual([])
  })

  test('open commands are unknown until their orchestrator says how they stand; who asks again gets the end (C-4, C-5)', async () => {
    const ids = { ended: ulid(), unheard: ulid(), lost: ulid(), waiting: ulid() }
    const first = await TestRelay.start({ home })
    const fake = await FakeOrchestrator.connect(first)
    const other = await FakeOrchestrator.connect(first)
    const before = first.client()
    const ask = (commandId: string) =>
      before.call.commands.run
        .mutate({ commandId, command: 'custom', input: {}, ttlMs: 60_000, orchestratorId: fake.id })
        .catch(() => undefined)
    for (const id of [ids.ended, ids.unheard, ids.lost]) ask(id)
    await expect.poll(() => fake.dispatched.length).toBe(3)
    for (const id of [ids.ended, ids.lost]) await fake.publish({ type: 'command_ack', commandId: id })
    await fake[Symbol.asyncDispose]()
    await expect.poll(() => first.relay.services.fleet.onlineCount()).toBe(1)
    ask(ids.waiting)
    await expect.poll(() => stateOf(before, ids.waiting).catch(() => undefined)).toBe('accepted')
    await other[Symbol.asyncDispose]()
    void before[Symbol.asyncDispose]() // it waits for its answers, which do not come
    await first[Symbol.asyncDispose]()

    await using second = await TestRelay.start({ home })
    await using client = second.client()
    for (const id of [ids.ended, ids.unheard, ids.lost]) expect(await stateOf(client, id)).toBe('unknown')
    expect(await stateOf(client, ids.waiting)).toBe('accepted')
    const asked = [ids.ended, ids.unheard, ids.lost, ids.waiting].map(
      (commandId) =>
        client.call.commands.run.mutate({
          commandId,
          command: 'custom',
          input: {},
          orchestratorId: fake.id,
        }) as Promise<Command>,
    )
    await using back = await FakeOrchestrator.connect(second, {
      id: fake.id,
      known: [{ commandId: ids.ended, state: 'succeeded' }],
    })
    // Those it never heard of come again; of those it had begun it is asked how they ended, which it may have said before.
    const dispatched = () => back.dispatched.map(({ type, commandId }) => `${type} ${commandId}`).sort()
    await expect
      .poll(dispatched)
      .toEqual([`run ${ids.unheard}`, `run ${ids.waiting}`, `tell ${ids.ended}`, `tell ${ids.lost}`].sort())
    const error = { code: 'INTERRUPTED' as const, message: 'It is not on record.' }
    const { lost } = ids
    await back.publish({ type: 'command_error', commandId: lost, command: 'custom', state: 'interrupted', error })
    for (const commandId of [ids.ended, ids.unheard, ids.waiting])
      await back.publish({ type: 'command_result', commandId, command: 'custom', output: null })
    expect((await Promise.all(asked)).map(({ state }) => state)).toEqual([
      'succeeded',
      'succeeded',
      'interrupted',
      'succeeded',
    ])
  })

  test('a token file of an earlier version is taken over once, revocations included', async () => {
    const record = (id: string, more: object) => ({
      id,
      role: 'viewer',
      name: id,
      hash: hashSecret(`secret-${id}`),
      createdAt: '2026-01-01T00:00:00.000Z',
      ...more,
    })
    const file = join(home, 'relay/tokens.json')
    await mkdir(join(home, 'relay'))
    const tokens = [record('good', {}), record('dead', { revokedAt: '2026-01-02T00:00:00.000Z' })]
    await writeFile(file, JSON.stringify({ version: 1, tokens }))
    for (const _ of ['taken over', 'and kept']) {
      await using relay = await TestRelay.start({ home })
      await using good = relay.client('aio_viewer_good_secret-good')
      expect(await good.call.auth.whoami.query()).toMatchObject({ name: 'good' })
      await using dead = relay.client('aio_viewer_dead_secret-dead')
      await expect(dead.call.auth.whoami.query()).rejects.toThrow(/revoked/)
      await expect(stat(file)).rejects.toThrow()
    }
  })

  test('the audit says who changed what, without inputs, and only to admins (A-7)', async () => {
    const commandId = ulid()
    const first = await TestRelay.start({ home })
    const operator = await first.token('operator')
    const client = first.client(operator.token)
    const admin = first.client()
    await expect(client.call.projects.create.mutate({ name: 'secret-name', commandId })).rejects.toMatchObject({
      data: { code: 'ORCHESTRATOR_NOT_FOUND' },
    })
    await admin.call.tokens.create.mutate({ role: 'viewer', name: 'secret-name' })
    await expect(client.call.audit.list.query()).rejects.toMatchObject({ data: { code: 'FORBIDDEN' } })
    for (const one of [client, admin, first]) await one[Symbol.asyncDispose]()

    await using second = await TestRelay.start({ home })
    await using again = second.client()
    const records = await again.call.audit.list.query()
    expect(records).toMatchObject([
      { call: 'audit.list', tokenId: operator.id, outcome: 'FORBIDDEN' },
      { call: 'tokens.create', by: 'AUTH_TOKEN', tokenId: 'auth-token', outcome: 'ok' },
      { call: 'projects.create', tokenId: operator.id, requestId: commandId, outcome: 'ORCHESTRATOR_NOT_FOUND' },
    ])
    expect(JSON.stringify(records)).not.toContain('secret-name')
    expect(await again.call.audit.list.query({ before: records[0]?.id ?? 0, limit: 5 })).toHaveLength(2)
  })
})
