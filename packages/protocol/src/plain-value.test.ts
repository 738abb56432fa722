import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plainValueSchema } from './plain-value.ts'

const parse = (text: string) => plainValueSchema.safeParse(JSON.parse(text))

test('a value without anything harmful is passed on as it is', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      fc.pre(!text.includes('__proto__'))
      const value: unknown = JSON.parse(text)
      expect(plainValueSchema.parse(value)).toBe(value)
    }),
  )
})

test('keys that would reach into every object are dropped at any depth (B-08)', () => {
  const { data } = parse('{"a":[{"__proto__":{"polluted":1},"kept":1}],"\\u005f_proto__":2}')
  expect(JSON.stringify(data)).toBe('{"a":[{"kept":1}]}')
})

test('a hundred levels are taken, one more is refused with a reason, and a million overflow no stack', () => {
  const nested = (levels: number) => parse('['.repeat(levels) + ']'.repeat(levels))
  expect(nested(100).success).toBe(true)
  expect(nested(101).error?.issues[0]?.message).toMatch(/deeper than 100 levels/)
  expect(nested(1_000_000).success).toBe(false)
})
