import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Deadlines } from './deadlines.ts'

test('each rings in its time, unless it was cleared or replaced; also one that is set when another rings', async () => {
  const deadlines = new Deadlines()
  const rang: string[] = []
  const now = performance.now()
  const ring = (id: string) => () => rang.push(id)
  deadlines.set('late', now + 120, ring('late'))
  deadlines.set('early', now + 20, () => {
    rang.push('early')
    deadlines.set('made by early', now + 60, ring('made by early'))
  })
  deadlines.set('cleared', now + 10, ring('cleared'))
  deadlines.clear('cleared')
  deadlines.set('replaced', now + 15, ring('too early'))
  deadlines.set('replaced', now + 90, ring('replaced'))
  deadlines.set('past', now - 5, ring('past'))
  await expect.poll(() => rang.length, { timeout: 5_000 }).toBe(5)
  expect([...rang].sort()).toEqual(['early', 'late', 'made by early', 'past', 'replaced'])
  expect(rang[0]).toBe('past')
  await sleep(20)
  expect(rang.length).toBe(5)
})
