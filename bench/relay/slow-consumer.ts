import { setTimeout as sleep } from 'node:timers/promises'
import type { Figure, Goal } from '../report.ts'
import type { System } from './system.ts'
import type { Systems } from './systems.ts'

const EVENT_CHARS = 1_900
const MB = 1e6
const BATCH = 500
const SETTLE_MS = 500 // until what was just taken is written and let go of
/** More than the journal keeps in memory, so that what a stalled reader costs is not hidden in what is kept anyway. */
const WARM_UP_MB = 100
const STALLED_MB = 100

const GOAL: Goal = { of: 'value', better: 'lower', atLeast: 64, aim: 32 }

/** How much more memory a server holds, in MB and without garbage, for one reader that has stalled while another reads on. */
export async function slowConsumer({ ours, raw, stock }: Systems): Promise<Figure[]> {
  const what = `relay: growth with one stalled reader, ${STALLED_MB} MB published`
  const figure = { what, unit: 'MB', ours: await growth(ours), runs: 1 } as const
  return [
    { ...figure, baseline: 'a raw ws send loop', theirs: await growth(raw), goal: GOAL },
    { ...figure, baseline: 'stock tRPC', theirs: await growth(stock) },
  ]
}

async function growth(system: System): Promise<number> {
  let read = 0
  const reader = await system.watcher(() => {
    read += 1
  })
  const text = 'x'.repeat(EVENT_CHARS)
  const publishMb = async (mb: number) => {
    for (let sent = 0; sent < mb * MB; sent += BATCH * EVENT_CHARS) {
      const target = read + BATCH
      await system.publish(BATCH, text)
      while (read < target) await sleep(1) // at the pace of those who do read
    }
  }
  await publishMb(WARM_UP_MB)
  const stalled = await system.watcher(() => undefined)
  stalled.pause()
  await sleep(SETTLE_MS)
  const before = await system.server.usage('settled')
  await publishMb(STALLED_MB)
  await sleep(SETTLE_MS)
  const after = await system.server.usage('settled')
  for (const socket of [stalled, reader]) socket.terminate()
  return (after.heapBytes - before.heapBytes) / MB
}
