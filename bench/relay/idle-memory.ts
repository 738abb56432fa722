import { setTimeout as sleep } from 'node:timers/promises'
import { type Figure, type Goal, median } from '../report.ts'
import type { Reader, System } from './system.ts'
import type { Systems } from './systems.ts'

const CONNECTIONS = 1_000
const RUNS = 3
const GOAL: Goal = { of: 'ratio', better: 'lower', atLeast: 2, aim: 1.1 }

/** Memory that a server holds per idle connection, authenticated and subscribed, in kB of its heap. */
export async function idleMemory({ ours, raw, stock }: Systems): Promise<Figure[]> {
  const systems = [ours, raw, stock]
  const held: number[][] = systems.map(() => [])
  for (let run = 0; run < RUNS; run += 1)
    for (const [index, system] of systems.entries()) held[index]?.push(await perConnection(system))
  const [mine = 0, theirs = 0, stocks = 0] = held.map(median)
  const figure = { what: 'relay: memory per idle subscribed connection', unit: 'kB', ours: mine, runs: RUNS } as const
  return [
    { ...figure, baseline: 'raw ws', theirs, goal: GOAL },
    { ...figure, baseline: 'stock tRPC', theirs: stocks },
  ]
}

async function perConnection(system: System): Promise<number> {
  const before = (await system.server.usage('settled')).heapBytes
  const sockets: Reader[] = []
  for (let n = 0; n < CONNECTIONS; n += 1) sockets.push(await system.watcher(() => undefined))
  await sleep(300)
  const after = (await system.server.usage('settled')).heapBytes
  for (const socket of sockets) socket.terminate()
  await sleep(300)
  return (after - before) / CONNECTIONS / 1_000
}
