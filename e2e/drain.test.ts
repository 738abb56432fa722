import { setTimeout as sleep } from 'node:timers/promises'
import { type AioEvent, type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { expect, test } from 'vitest'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

const connect = (relay: RelayProcess) =>
  createClient({ url: relay.wsUrl, token: relay.token, connectTimeoutMs: 60_000 })
const ask = (aio: Client, commandId: string) => aio.commands.run.mutate({ commandId, command: 'slow', input: {} })
const httpOf = (relay: RelayProcess) => relay.wsUrl.replace('ws:', 'http:').replace('/ws', '')

/** One who watches everything, and writes down what it was told. */
class Watcher {
  readonly client: Client
  readonly events: AioEvent[] = []

  constructor(relay: RelayProcess) {
    this.client = connect(relay)
    void this.#watch()
  }

  /** Numbers of the events, in the order in which they came. */
  get numbers(): number[] {
    return this.events.map(({ position }) => Number(position.split('.')[1]))
  }

  /** Commands that it was told the end of. */
  get ends(): string[] {
    return this.events.flatMap((event) =>
      event.type === 'command_result' || event.type === 'command_error' ? [event.commandId] : [],
    )
  }

  async #watch(): Promise<void> {
    for await (const event of this.client.events()) this.events.push(event)
  }
}

test('twenty clients move over three restarts without a hole, a repeat, or a command that ends twice (E-1, C-4)', async () => {
  await using relay = await startRelayProcess({ env: { DRAIN_MS: '300' } })
  await using machine = new ScriptedOrchestrator(relay, {
    run: async ({ commandId }, tell) => {
      for (const progress of [30, 60]) {
        await sleep(150)
        tell({ type: 'command_progress', commandId, progress })
      }
      return { marker: commandId }
    },
  })
  await machine.ready()
  const watchers = Array.from({ length: 20 }, () => new Watcher(relay))
  await until(async () => {
    await ask(watchers[0]?.client ?? connect(relay), newCommandId())
    return watchers.every(({ events }) => events.length > 0)
  })
  const asked: string[] = []
  const answers: Promise<{ commandId: string; state: string }>[] = []
  let isOver = false
  const asking = watchers.map(async ({ client }) => {
    while (!isOver) {
      const commandId = newCommandId()
      asked.push(commandId)
      const answer = ask(client, commandId)
      answers.push(answer)
      await Promise.race([answer.catch(() => undefined), sleep(600)])
    }
  })
  for (let round = 0; round < 3; round += 1) {
    await sleep(400)
    expect(await relay.stop()).toBe(0)
    await relay.restart()
  }
  await sleep(400)
  isOver = true
  await Promise.all(asking)

  const ended = await Promise.all(answers)
  expect(ended.map(({ commandId }) => commandId)).toEqual(asked)
  expect(new Set(ended.map(({ state }) => state))).toEqual(new Set(['succeeded']))
  for (const commandId of asked) expect(machine.started.get(commandId)).toBe(1)
  await until(() => watchers.every(({ ends }) => asked.every((commandId) => ends.includes(commandId))))
  for (const { events, numbers, ends } of watchers) {
    expect(events.filter(({ type }) => type === 'gap')).toEqual([])
    expect(numbers).toEqual(Array.from(numbers, (_, n) => (numbers[0] ?? 0) + n))
    expect(new Set(ends).size).toBe(ends.length)
    // What a machine says again after a restart is taken once: no step of a command is told twice.
    const told = events.flatMap((event) =>
      event.type === 'command_progress' ? [`${event.commandId} ${event.progress}`] : [],
    )
    expect(new Set(told).size).toBe(told.length)
  }
  for (const { client } of watchers) await client.close()
}, 120_000)

test('while it drains, what is under way ends, and what is new is told to come again', async () => {
  const gate = Promise.withResolvers<number>()
  await using relay = await startRelayProcess({ env: { DRAIN_MS: '20000' } })
  await using machine = new ScriptedOrchestrator(relay, { run: () => gate.promise })
  await machine.ready()
  await using aio = connect(relay)
  const running = ask(aio, newCommandId())
  await until(() => machine.started.size === 1)
  const stopped = relay.stop()
  const headers = { authorization: `Bearer ${relay.token}` }
  await until(async () => (await fetch(`${httpOf(relay)}/ready`)).status === 503)
  for (const path of ['/health', '/ready', '/trpc/projects.list']) {
    const answer = await fetch(`${httpOf(relay)}${path}`, { headers })
    expect([path, answer.status, answer.headers.get('retry-after')]).toEqual([path, 503, '2'])
  }
  expect(await (await fetch(`${httpOf(relay)}/health`)).json()).toMatchObject({ status: 'draining' })
  await using late = createClient({ url: relay.wsUrl, token: relay.token, connectTimeoutMs: 300 })
  await expect(late.projects.list.query()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  // A call that could do something twice is not asked again by itself: its caller is told.
  await expect(aio.auth.createCode.mutate()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/restarting.*nothing was started/),
    details: { retryAfterMs: 2_000 },
  })
  // One that cannot is, until the relay is back.
  const list = aio.projects.list.query()
  gate.resolve(1)
  expect(await running).toMatchObject({ state: 'succeeded' })
  expect(await stopped).toBe(0)
  await relay.restart()
  expect(await list).toHaveLength(1)
})

test('it waits no longer than it is told to, and told twice it ends at once', async () => {
  await using relay = await startRelayProcess({ env: { DRAIN_MS: '600000' } })
  await using machine = new ScriptedOrchestrator(relay, { run: () => new Promise(() => undefined) })
  await machine.ready()
  await using aio = connect(relay)
  ask(aio, newCommandId()).catch(() => undefined)
  await until(() => machine.started.size === 1)
  const stopped = relay.stop()
  await until(async () => (await fetch(`${httpOf(relay)}/ready`)).status === 503)
  relay.signal('SIGTERM')
  expect(await stopped).toBe(1)
  await using short = await startRelayProcess({ env: { DRAIN_MS: '200' } })
  await using other = new ScriptedOrchestrator(short, { run: () => new Promise(() => undefined) })
  await other.ready()
  await using client = connect(short)
  ask(client, newCommandId()).catch(() => undefined)
  await until(() => other.started.size === 1)
  expect(await short.stop()).toBe(0)
})

test('a client that had much to ask while the relay was away gets all of it answered', async () => {
  await using relay = await startRelayProcess({ env: { DRAIN_MS: '0' } })
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  await ask(aio, newCommandId())
  await relay.stop()
  // Stock clients send all that waits in one frame, which holds 32; and 64 may be under way.
  const answers = Array.from({ length: 150 }, () => ask(aio, newCommandId()))
  await relay.restart()
  expect(new Set((await Promise.all(answers)).map(({ state }) => state))).toEqual(new Set(['succeeded']))
})
