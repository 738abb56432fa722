import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Callers } from './faults/callers.ts'
import { countMarks, Ledger } from './faults/ledger.ts'
import { NetworkNamespace } from './faults/network-namespace.ts'
import { Random } from './faults/random.ts'
import type { Direction } from './faults/tcp-proxy.ts'
import { sdkWatcher } from './faults/watchers.ts'
import { MARK_COMMANDS, World } from './faults/world.ts'
import { type OrchestratorProcess, orchestratorFor } from './harness/orchestrator-process.ts'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'

/** A dead path is promised to be noticed within 40 seconds (S-4, F-09); the rest is for a busy machine. */
const NOTICED_WITHIN_MS = 70_000
const TEST_MS = 180_000

let relay: RelayProcess
let aio: Client
let home: string
let marks: string
const ledger = new Ledger()

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'aio-partition-'))
  marks = join(home, 'marks')
  await writeFile(marks, '')
  relay = await startRelayProcess({ env: { HOST: '0.0.0.0' } })
  aio = createClient({ url: relay.wsUrl, token: relay.token })
  void (async () => {
    for await (const event of aio.events()) ledger.sees('a watcher', event)
  })()
  await aio.auth.whoami.query()
})
afterAll(async () => {
  await aio?.close()
  await relay?.[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
})

async function machineIn(network: NetworkNamespace, name: string): Promise<OrchestratorProcess> {
  const where = { wsUrl: `ws://${network.outside}:${relay.port}/ws`, token: relay.token }
  const machine = await orchestratorFor(where, { through: network.through, env: { ORCHESTRATOR_NAME: name } })
  await mkdir(machine.aioHome)
  await writeFile(join(machine.aioHome, 'commands.toml'), MARK_COMMANDS)
  machine.start()
  return machine
}

async function untilState(name: string, wanted: 'online' | 'offline'): Promise<string> {
  let id = ''
  await until(
    async () => {
      const named = (await aio.orchestrators.list.query()).filter((one) => one.name === name)
      id = named[0]?.id ?? ''
      return named.length === 1 && named[0]?.state === wanted
    },
    NOTICED_WITHIN_MS,
    () => `${name} is not ${wanted}`,
  )
  return id
}

/** A machine behind a network that loses packets for longer than a dead path takes to be noticed. */
async function cutOff(how: string, directions: readonly Direction[]): Promise<void> {
  await using network = await NetworkNamespace.open()
  const name = `behind ${how}`
  await using machine = await machineIn(network, name)
  const orchestratorId = await untilState(name, 'online')
  const mark = (ms: number, ttlMs?: number) => {
    const commandId = newCommandId()
    ledger.asks(commandId)
    const input = { file: marks, ms }
    const request = { commandId, orchestratorId, command: 'mark', input, ...(ttlMs === undefined ? {} : { ttlMs }) }
    return { commandId, answer: aio.commands.run.mutate(request).then((command) => ledger.answers(command)) }
  }
  const marksOf = async (commandId: string) => (await countMarks(marks)).get(commandId) ?? 0

  const before = mark(1_500) // it ends while nobody can be told
  await until(async () => (await marksOf(before.commandId)) === 1)
  for (const direction of directions) await network.lose(direction)
  const during = mark(0, 5_000)
  await untilState(name, 'offline')
  expect(['unknown', 'succeeded'], how).toContain((await stateOf(before.commandId)).state)
  await until(
    () => machine.output().includes('the link to the relay is down'),
    NOTICED_WITHIN_MS,
    () => `${name} does not notice`,
  )
  for (const direction of directions) await network.pass(direction)
  expect(await untilState(name, 'online')).toBe(orchestratorId)
  await Promise.all([before.answer, during.answer])
  expect(await stateOf(before.commandId), how).toMatchObject({ state: 'succeeded' })
  // Where it reached the machine in time it ran, and elsewhere it never did: it is not called what it is not.
  const isHeard = !directions.includes('down')
  expect([(await stateOf(during.commandId)).state, await marksOf(during.commandId)], how).toEqual(
    isHeard ? ['succeeded', 1] : ['expired', 0],
  )
}

const stateOf = (commandId: string) => aio.commands.get.query({ commandId })

test.concurrent(
  'a network that loses packets and tells nobody: noticed on both sides, and all is told afterwards, once and in order (F-08, F-09, C-4, C-5, C-7)',
  async () => {
    await Promise.all([
      cutOff('both directions', ['up', 'down']),
      cutOff('the way to the relay', ['up']),
      cutOff('the way from the relay', ['down']),
    ])
    await ledger.check(aio, marks)
    expect(ledger.violations).toEqual([])
  },
  TEST_MS,
)

/** Longer than it takes every client and orchestrator to give the relay up (28 seconds). */
const FROZEN_MS = 32_000
const CLIENTS = 100

test.concurrent(
  'a relay that stands still for longer than anyone waits: all resume without a gap (F-07, C-2, E-2)',
  async () => {
    const seen = new Ledger()
    await using world = await World.start()
    await using watchers = new AsyncDisposableStack()
    for (let index = 0; index < CLIENTS; index += 1)
      watchers.use(await sdkWatcher(world, seen, { name: `watcher ${index}` }))
    await using callers = new Callers(world, seen, { random: new Random(1), perSecond: 10 })
    await expect.poll(() => seen.asked, { timeout: 30_000 }).toBeGreaterThan(20)
    world.relay.signal('SIGSTOP')
    await sleep(FROZEN_MS)
    world.relay.signal('SIGCONT')
    await world.healed()
    await callers.finish()
    await seen.check(world.observer, world.marksFile)
    expect(seen.violations).toEqual([])
    expect(seen.gaps).toBe(0)
  },
  TEST_MS,
)
