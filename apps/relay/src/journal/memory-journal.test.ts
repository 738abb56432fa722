import { expect, test } from 'vitest'
import { MemoryJournal } from './memory-journal.ts'

const event = { type: 'orchestrator_left', orchestratorId: '0'.repeat(26), reason: 'timeout' } as const

test('numbers events from 1 and reads them back in order', () => {
  const journal = new MemoryJournal()
  for (let i = 0; i < 5; i += 1) journal.append(event)
  expect(journal.read(2, 2)?.map(({ position }) => position)).toEqual([`${journal.epoch}.3`, `${journal.epoch}.4`])
  expect(journal.read(5, 10)).toEqual([])
  expect(journal.read(6, 10)).toBeUndefined()
})

test.each([
  ['count', { maxEvents: 3 }],
  ['bytes', { maxBytes: 500 }],
])('forgets the oldest by %s, and says so instead of leaving a hole', (_, retention) => {
  const journal = new MemoryJournal({ retention })
  for (let i = 0; i < 5_000; i += 1) journal.append(event)
  expect(journal.read(4_990, 100)).toBeUndefined()
  const kept = journal.read(4_999, 100)
  expect(kept?.map(({ position }) => position)).toEqual([`${journal.epoch}.5000`])
})

test('wakes who waits, and lets go when there is no more reason to', async () => {
  const journal = new MemoryJournal()
  const abort = new AbortController()
  const waiting = journal.waitBeyond(0, abort.signal)
  journal.append(event)
  await waiting
  const aborted = journal.waitBeyond(1, abort.signal)
  abort.abort()
  await aborted
})
