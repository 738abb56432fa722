import { once } from 'node:events'
import { ulid } from 'ulid'
import { expect, test } from 'vitest'
import { aProject, FakeOrchestrator } from '../test-support/fake-orchestrator.ts'
import { ROOT_TOKEN, TestRelay } from '../test-support/test-relay.ts'

const scrape = (relay: TestRelay, token?: string) =>
  fetch(`${relay.httpUrl}/metrics`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

/** The samples of a scrape by name and labels. */
async function samples(relay: TestRelay): Promise<Map<string, number>> {
  const lines = (await (await scrape(relay, ROOT_TOKEN)).text()).split('\n')
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]),
  )
}

test('metrics are for viewers and up, and others are told in one line what is missing', async () => {
  await using relay = await TestRelay.start()
  const none = await scrape(relay)
  expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  expect(await none.text()).toMatch(/^Metrics need a token\..*aio tokens create.*\n$/)
  expect((await scrape(relay, 'x'.repeat(40))).status).toBe(401)
  expect((await scrape(relay, (await relay.token('orchestrator')).token)).status).toBe(403)
  const read = await scrape(relay, (await relay.token('viewer')).token)
  expect([read.status, read.headers.get('content-type')]).toEqual([200, expect.stringContaining('version=0.0.4')])
})

test('they tell what happened, in words, and name nobody', async () => {
  await using relay = await TestRelay.start()
  await using client = relay.client()
  await using machine = await FakeOrchestrator.connect(relay, { projects: [aProject('shop')], outbox: 'one' })
  await new Promise<void>((resolve, reject) => {
    client.call.events.watch.subscribe({}, { onStarted: () => resolve(), onError: reject })
  })
  machine.onDispatch(({ type, commandId }) => {
    if (type !== 'run') return
    machine.publish({ type: 'command_result', commandId, command: 'custom', output: 1 }).catch(() => undefined)
  })
  for (let n = 0; n < 3; n += 1)
    await client.call.commands.run.mutate({ commandId: ulid(), command: 'custom', input: {} })
  await expect(client.call.sessions.get.query({ sessionId: 'no_such' })).rejects.toThrow()
  const viewer = relay.client((await relay.token('viewer')).token)
  await expect(viewer.call.tokens.list.query()).rejects.toThrow()
  await viewer[Symbol.asyncDispose]()
  const bad = await relay.socket({ token: ROOT_TOKEN })
  bad.send('not json')
  await once(bad, 'close')
  await machine.publishAt(20, { type: 'project_updated', project: aProject('other') }, 4)

  await expect.poll(async () => (await samples(relay)).get('aio_gaps_total{reason="overflow"}')).toBe(1)
  const found = await samples(relay)
  expect(Object.fromEntries(found)).toMatchObject({
    'aio_sockets{role="client"}': 1,
    'aio_sockets{role="orchestrator"}': 1,
    'aio_sockets{role="waiting"}': 0,
    aio_watchers: 1,
    aio_streams: 0,
    aio_orchestrators_online: 1,
    aio_store_failing: 0,
    aio_draining: 0,
    'aio_calls_total{procedure="commands.run",code="ok"}': 3,
    'aio_calls_total{procedure="sessions.get",code="NOT_FOUND"}': 1,
    'aio_calls_total{procedure="tokens.list",code="FORBIDDEN"}': 1,
    'aio_commands_total{state="succeeded"}': 3,
    aio_command_seconds_count: 3,
    'aio_call_seconds_count{procedure="commands.run"}': 3,
    'aio_socket_closes_total{code="4400"}': 1,
  })
  for (const name of [
    'aio_deliveries_total',
    'aio_sent_bytes_total',
    'aio_store_entries_total',
    'aio_journal_bytes_total',
  ])
    expect([name, (found.get(name) ?? 0) > 5]).toEqual([name, true])
  for (const name of ['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes', 'process_open_fds'])
    expect([name, found.has(name)]).toEqual([name, true])
  const buckets = [...found]
    .filter(([name]) => name.startsWith('aio_store_commit_seconds_bucket'))
    .map(([, count]) => count)
  expect(buckets).toEqual(buckets.toSorted((a, b) => a - b))
  expect(buckets.at(-1)).toBe(found.get('aio_store_commit_seconds_count'))

  const text = await (await scrape(relay, ROOT_TOKEN)).text()
  for (const [name] of found)
    if (name.startsWith('aio_'))
      expect(text).toMatch(
        new RegExp(`# HELP ${/^[a-z_]+?(?=_bucket|_sum|_count|\{|$)/.exec(name)?.[0]} [A-Z1][^\\n]{20,}\\.`),
      )
  // A label with an id in it would be a new line for every command, for ever.
  expect(text).not.toMatch(/[0-9A-HJKMNP-TV-Z]{26}|shop|no_such/)
})
