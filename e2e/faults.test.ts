import { afterAll, beforeAll, expect, test } from 'vitest'
import { Callers } from './faults/callers.ts'
import { FAULTS } from './faults/faults.ts'
import { Ledger } from './faults/ledger.ts'
import { Random } from './faults/random.ts'
import { sdkWatcher, stockWatcher, type Watcher } from './faults/watchers.ts'
import { World } from './faults/world.ts'

/** The same faults at the same moments in every run; `pnpm soak` takes others. */
const SEED = 3
/** Longest time that something stays broken here, in milliseconds; in `pnpm soak` it is longer than every timeout. */
const LONGEST_MS = 1_500

const ledger = new Ledger()
const random = new Random(SEED)
const watchers: Watcher[] = []
let world: World

beforeAll(async () => {
  world = await World.start()
  watchers.push(await sdkWatcher(world, ledger, { name: 'an SDK watcher' }))
  watchers.push(await stockWatcher(world, ledger, 'a stock watcher'))
})
afterAll(async () => {
  for (const watcher of watchers) await watcher[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})

test.each(FAULTS)('what clients saw still holds after: $name (C-1 to C-6, E-1 to E-3)', async ({ inject }) => {
  await using callers = new Callers(world, ledger, { random: new Random(SEED + 1), perSecond: 40 })
  const before = ledger.asked
  await expect.poll(() => ledger.asked, { timeout: 20_000 }).toBeGreaterThan(before + 10)
  await inject({ world, ledger, random, longestMs: LONGEST_MS, stormClients: 50 })
  await world.healed()
  await callers.finish()
  await ledger.check(world.observer, world.marksFile)
  expect(ledger.violations).toEqual([])
  expect(ledger.events).toBeGreaterThan(0)
})
