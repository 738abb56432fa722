import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Callers } from './faults/callers.ts'
import { Ledger } from './faults/ledger.ts'
import { Random } from './faults/random.ts'
import { sdkWatcher } from './faults/watchers.ts'
import { World } from './faults/world.ts'

/** Longer than it takes every client and orchestrator to give the relay up (28 seconds). */
const FROZEN_MS = 32_000
const CLIENTS = 100

test('a relay that stands still for longer than anyone waits: all resume without a gap (F-07, C-2, E-2)', async () => {
  const ledger = new Ledger()
  await using world = await World.start()
  await using watchers = new AsyncDisposableStack()
  for (let index = 0; index < CLIENTS; index += 1)
    watchers.use(await sdkWatcher(world, ledger, { name: `watcher ${index}` }))
  await using callers = new Callers(world, ledger, { random: new Random(1), perSecond: 10 })
  await expect.poll(() => ledger.asked).toBeGreaterThan(20)
  world.relay.signal('SIGSTOP')
  await sleep(FROZEN_MS)
  world.relay.signal('SIGCONT')
  await world.healed()
  await callers.finish()
  await ledger.check(world.observer, world.marksFile)
  expect(ledger.violations).toEqual([])
  expect(ledger.gaps).toBe(0)
}, 180_000)
