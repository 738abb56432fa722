import { describe, expect, it } from 'vitest'
import { describeRisk, isDisposable, isNothing, parseStatus } from './risk.ts'

const none = { modified: [], untracked: [], ignored: [], operations: [], commits: [], omitted: 0 }

describe('work at risk', () => {
  it('is read from git’s status', () => {
    const zeros = '0'.repeat(40)
    const text = [
      'o merge',
      `1 .M N... 100644 100644 100644 ${zeros} ${zeros} a b.txt`,
      `u UU N... 100644 100644 100644 100644 ${zeros} ${zeros} ${zeros} c.txt`,
      '1 hidden file',
      '? new\nline',
      '! x.log',
      's sub',
      '',
    ].join('\0')
    expect(parseStatus(text)).toEqual({
      modified: ['a b.txt', 'c.txt', 'hidden file'],
      untracked: ['new\nline'],
      ignored: ['x.log'],
      operations: ['merge'],
      inner: ['sub'],
    })
  })
  it.each([
    ['node_modules/', ['node_modules'], true],
    ['a/node_modules/', ['node_modules'], true],
    ['a/node_modules/b.js', ['node_modules/'], true],
    ['node_modules2/', ['node_modules'], false],
    ['x.tmp', ['*.tmp'], true],
    ['build/out/a', ['build/out'], true],
    ['a/build/out', ['build/out'], false],
    ['keep.log', [], false],
  ])('%s with %j as disposable: %s', (path, globs, expected) => expect(isDisposable(path, globs)).toBe(expected))
  it('is described with counts and the first few names, control characters made visible', () => {
    const text = describeRisk({ ...none, modified: ['a'], untracked: ['b', 'c\u001b[31m', 'd', 'e'], omitted: 7 })
    expect(text).toBe('1 modified file (a), 4 untracked files (b, c\\u001b[31m, d, …), and 7 more')
  })
  it('is nothing only when every list is empty', () => {
    expect(isNothing(none)).toBe(true)
    expect(isNothing({ ...none, commits: ['x'] })).toBe(false)
    expect(isNothing({ ...none, omitted: 1 })).toBe(false)
  })
})
