import { expect, test } from 'vitest'
import { SeenIds } from './seen-ids.ts'

const idOf = (n: number) => `01JD${String(n).padStart(22, '0')}`

test('an id that was seen is never called new, and of those that were not hardly one is called seen', () => {
  const seen = new SeenIds()
  for (let n = 0; n < 200_000; n += 1) seen.add(idOf(n))
  let forgotten = 0
  for (let n = 0; n < 200_000; n += 1) if (!seen.mayHave(idOf(n))) forgotten += 1
  let mistaken = 0
  for (let n = 200_000; n < 250_000; n += 1) if (seen.mayHave(idOf(n))) mistaken += 1
  expect(forgotten).toBe(0)
  expect(mistaken).toBeLessThan(500)
})
