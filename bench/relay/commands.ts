import { type Figure, type Goal, median } from '../report.ts'
import { besideNats } from './nats-system.ts'
import type { Reader, System } from './system.ts'
import type { Systems } from './systems.ts'

const BLOCK_ROUNDS = 50 // in turns, but not at every round: waking four servers one after the other measures their caches
const BLOCKS = 12
const WARM_UP_BLOCKS = 6
const IN_FLIGHT = 64
const RATE_MS = 1_000
const RATE_RUNS = 3

const GOALS = {
  roundTrip: { of: 'ratio', better: 'lower', atLeast: 1.6, aim: 1.25 },
  crowdedRate: { of: 'ratio', better: 'higher', atLeast: 6, aim: 17 },
  durability: { of: 'ratio', better: 'higher', atLeast: 0.5, aim: 0.8 },
} as const satisfies Record<string, Goal>

/** Round trip of a command with one in flight: client, server, worker and back. */
export async function roundTrip({ ours, inMemory, raw, stock, nats }: Systems): Promise<Figure[]> {
  const systems = [ours, inMemory, raw, stock, ...(nats === undefined ? [] : [nats])]
  const times: number[][] = systems.map(() => [])
  for (let block = -WARM_UP_BLOCKS; block < BLOCKS; block += 1)
    for (const [index, system] of systems.entries())
      for (let round = 0; round < BLOCK_ROUNDS; round += 1) {
        const startedAt = performance.now()
        await system.run()
        if (block >= 0) times[index]?.push(performance.now() - startedAt)
      }
  const [durable = 0, volatile = 0, theirs = 0, stocks = 0, natsMs] = times.map(median)
  const what = 'relay: command round trip, one in flight'
  const shared = { unit: 'ms', runs: BLOCKS * BLOCK_ROUNDS } as const
  return [
    { ...shared, what, ours: durable, baseline: 'a raw ws two-hop', theirs },
    { ...shared, what, ours: durable, baseline: 'stock tRPC', theirs: stocks },
    {
      ...shared,
      what: `${what}, in memory`,
      ours: volatile,
      baseline: 'a raw ws two-hop',
      theirs,
      goal: GOALS.roundTrip,
    },
    { ...shared, what: `${what}, in memory`, ours: volatile, baseline: 'stock tRPC', theirs: stocks },
    ...besideNats({ ...shared, what: `${what}, in memory`, ours: volatile }, natsMs),
  ]
}

/** Commands per second with 64 in flight, while so many other clients watch something else. */
export async function commandRate(systems: Systems, bystanders: number): Promise<Figure[]> {
  const { ours, inMemory, stock, nats } = systems
  const measured = [ours, inMemory, systems.broadcast, stock, ...(nats === undefined ? [] : [nats])]
  const crowd: Reader[] = []
  for (const system of measured) for (let n = 0; n < bystanders; n += 1) crowd.push(await system.bystander())
  const rates: number[][] = measured.map(() => [])
  for (const system of measured) await rate(system) // warm up
  for (let run = 0; run < RATE_RUNS; run += 1)
    for (const [index, system] of measured.entries()) rates[index]?.push(await rate(system))
  for (const socket of crowd) socket.terminate()
  const [durable = 0, volatile = 0, theirs = 0, stocks = 0, natsRate] = rates.map(median)
  const clients = bystanders === 0 ? '1 client' : `${bystanders + 1} clients`
  const what = `relay: commands, ${IN_FLIGHT} in flight, ${clients}`
  const shared = { unit: 'per second', runs: RATE_RUNS } as const
  const broadcast = { baseline: 'a raw ws hub that broadcasts', theirs }
  const goal = bystanders === 0 ? {} : { goal: GOALS.crowdedRate }
  return [
    { ...shared, what, ours: durable, ...broadcast, ...goal },
    { ...shared, what, ours: durable, baseline: 'the same in memory', theirs: volatile, goal: GOALS.durability },
    { ...shared, what: `${what}, in memory`, ours: volatile, ...broadcast, ...goal },
    { ...shared, what: `${what}, in memory`, ours: volatile, baseline: 'stock tRPC', theirs: stocks },
    ...besideNats({ ...shared, what: `${what}, in memory`, ours: volatile }, natsRate),
  ]
}

async function rate(system: System): Promise<number> {
  const startedAt = performance.now()
  let done = 0
  const keepGoing = async () => {
    while (performance.now() < startedAt + RATE_MS) {
      await system.run()
      done += 1
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, keepGoing))
  return (done * 1_000) / (performance.now() - startedAt)
}
