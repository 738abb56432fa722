import { expect, test } from 'vitest'
import { fullJitter } from './backoff.ts'

test('[S-5] waits are anywhere between zero and a doubling bound of at most 30 seconds', () => {
  expect([0, 1, 2, 20, 1_000].map((failures) => fullJitter(failures, () => 1))).toEqual([
    250, 500, 1_000, 30_000, 30_000,
  ])
  expect(fullJitter(5, () => 0)).toBe(0)
  expect(fullJitter(5, () => 0.5)).toBe(4_000)
})
