import { setTimeout as sleep } from 'node:timers/promises'
import type { Figure, Goal } from '../report.ts'
import { median } from '../report.ts'
import { besideNats } from './nats-system.ts'
import type { Reader, System } from './system.ts'
import type { Systems } from './systems.ts'

const BURST_RUNS = 5
const EVEN_RUNS = 3
const BURST_DELIVERIES = 50_000
const EVEN_DELIVERIES_PER_S = 10_000
const EVEN_MS = 1_200

/** CPU that a server spends per delivered event, in microseconds: a burst, and the same evenly spaced, to many watchers. */
export async function fanOut({ ours, inMemory, raw, stock, nats }: Systems, watchers: number): Promise<Figure[]> {
  await using ends = new AsyncDisposableStack()
  const crowds: Crowd[] = []
  for (const system of [ours, inMemory, raw, stock, ...(nats === undefined ? [] : [nats])]) {
    const crowd = await gather(system, watchers)
    ends.defer(crowd.leave)
    crowds.push(crowd)
    await burst(crowd) // warm up
  }
  return [
    ...figures(`a burst to ${watchers} watchers`, await interleaved(crowds, burst, BURST_RUNS), BURST_RUNS, {
      raw: { of: 'ratio', better: 'lower', atLeast: 0.2, aim: 0.06 },
      stock: { of: 'ratio', better: 'lower', atLeast: 1 / 15, aim: 1 / 60 },
    }),
    ...figures(`evenly spaced to ${watchers} watchers`, await interleaved(crowds, even, EVEN_RUNS), EVEN_RUNS, {
      raw: { of: 'ratio', better: 'lower', atLeast: 1.1, aim: 0.95 },
    }),
  ]
}

function figures(how: string, medians: number[], runs: number, goals: { raw: Goal; stock?: Goal }): Figure[] {
  const [durable = Number.NaN, volatile = Number.NaN, raw = Number.NaN, stock = Number.NaN, nats] = medians
  const what = `relay: CPU per delivered event, ${how}`
  const shared = { unit: 'µs', runs } as const
  const toRaw = { baseline: 'a raw ws send loop', theirs: raw, goal: goals.raw }
  return [
    { ...shared, what, ours: durable, ...toRaw },
    {
      ...shared,
      what,
      ours: durable,
      baseline: 'stock tRPC',
      theirs: stock,
      ...(goals.stock && { goal: goals.stock }),
    },
    { ...shared, what: `${what}, in memory`, ours: volatile, ...toRaw },
    ...besideNats({ ...shared, what: `${what}, in memory`, ours: volatile }, nats),
  ]
}

/** A system with its watchers. */
interface Crowd {
  system: System
  watchers: number
  received(): number
  leave(): Promise<void>
}

async function gather(system: System, watchers: number): Promise<Crowd> {
  let received = 0
  const count = () => {
    received += 1
  }
  const sockets: Reader[] = []
  for (let n = 0; n < watchers; n += 1) sockets.push(await system.watcher(count))
  return {
    system,
    watchers,
    received: () => received,
    leave: async () => {
      for (const socket of sockets) socket.terminate()
      await sleep(200)
    },
  }
}

/** Medians of each, measured in turns so that what the machine does meanwhile hits all alike. */
async function interleaved(
  crowds: Crowd[],
  measure: (crowd: Crowd) => Promise<number>,
  runs: number,
): Promise<number[]> {
  const values: number[][] = crowds.map(() => [])
  for (let run = 0; run < runs; run += 1)
    for (const [index, crowd] of crowds.entries()) values[index]?.push(await measure(crowd))
  return values.map(median)
}

function burst(crowd: Crowd): Promise<number> {
  const events = BURST_DELIVERIES / crowd.watchers
  return cpuPerDelivery(crowd, events, () => crowd.system.publish(events))
}

function even(crowd: Crowd): Promise<number> {
  const perSecond = EVEN_DELIVERIES_PER_S / crowd.watchers
  const events = Math.round((perSecond * EVEN_MS) / 1_000)
  return cpuPerDelivery(crowd, events, async () => {
    const startedAt = performance.now()
    for (let n = 0; n < events; n += 1) {
      await sleep(Math.max(0, startedAt + (n * 1_000) / perSecond - performance.now()))
      await crowd.system.publish(1)
    }
  })
}

async function cpuPerDelivery(crowd: Crowd, events: number, publish: () => Promise<void>): Promise<number> {
  const { server } = crowd.system
  const target = crowd.received() + events * crowd.watchers
  const before = await server.usage()
  await publish()
  const deadline = performance.now() + 60_000
  while (crowd.received() < target) {
    if (performance.now() > deadline) throw new Error(`${target - crowd.received()} events did not arrive`)
    await sleep(2)
  }
  return ((await server.usage()).cpuUs - before.cpuUs) / (events * crowd.watchers)
}
