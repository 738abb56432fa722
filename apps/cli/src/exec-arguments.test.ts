import { expect, test } from 'vitest'
import { separateExecArguments } from './exec-arguments.ts'

test.each([
  ['sessions exec s ls -la', 'sessions exec s -- ls -la'],
  ['sessions exec s -- ls -la', 'sessions exec s -- ls -la'],
  ['--json sessions exec --cwd /x s -i ls --json', '--json sessions exec --cwd /x s -i -- ls --json'],
  ['--relay exec sessions list a b', '--relay exec sessions list a b'],
  ['sessions exec s', 'sessions exec s'],
  ['sessions create p n', 'sessions create p n'],
])('%s', (given, separated) => {
  expect(separateExecArguments(given.split(' ')).join(' ')).toBe(separated)
})
