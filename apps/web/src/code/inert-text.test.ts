import { expect, test } from 'vitest'
import { inertText } from './inert-text.ts'

test('leaves escape sequences out, and marks what would reorder or hide text', () => {
  expect(inertText('\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u001b\\')).toBe('red link')
  expect(inertText('invoice\u202etxt.exe\u2066')).toBe('invoice\ufffdtxt.exe\ufffd')
  expect(inertText('a\u0000b\u0007\u001b\u009b31m')).toBe('a\ufffdb\ufffd\ufffd\ufffd31m')
  expect(inertText('one\r\ntwo\tthree\n')).toBe('one\ntwo\tthree\n')
})

test('stays fast on a hostile line', () => {
  expect(inertText('\u001b]'.repeat(100_000)).length).toBeGreaterThan(0)
  expect(inertText('\u001b[0;'.repeat(100_000)).length).toBeGreaterThan(0)
})
