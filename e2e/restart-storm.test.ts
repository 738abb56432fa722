import { expect, test } from 'vitest'
import { Ledger } from './faults/ledger.ts'
import { restartStorm } from './faults/restart-storm.ts'

/** What garbage collection and caches may leave behind a storm, in MB. */
const RSS_GROWTH_MAX_MB = 48

test('everybody loses the relay at once, again and again: all come back without a hole, and memory too (F-14)', async () => {
  const ledger = new Ledger()
  const { rssMb } = await restartStorm({ clients: 200, orchestrators: 20, restarts: 2, resets: 1 }, ledger)
  expect(ledger.violations).toEqual([])
  expect(ledger.gaps).toBe(0)
  expect(rssMb.after - rssMb.before).toBeLessThan(RSS_GROWTH_MAX_MB)
}, 240_000)
