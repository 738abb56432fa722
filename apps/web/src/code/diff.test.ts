import { expect, test } from 'vitest'
import { diffOf } from './diff.ts'

test('numbers the lines of both sides and marks the words that changed', () => {
  const before = 'one\ntwo\n  if (x) throw new Error(1)\nfour\n'
  const after = 'one\ntwo\n  if (x) return skip(1)\nfour\nfive\n'
  const diff = diffOf(before, after)
  expect(diff).toMatchObject({ added: 2, removed: 1 })
  const lines = diff?.hunks[0]?.lines ?? []
  expect(lines.map((line) => [line.kind, line.before, line.after])).toEqual([
    ['context', 1, 1],
    ['context', 2, 2],
    ['delete', 3, undefined],
    ['add', undefined, 3],
    ['context', 4, 4],
    ['add', undefined, 5],
  ])
  const words = lines[3]?.changed?.map(([start, end]) => lines[3]?.text.slice(start, end)).join('')
  expect(words).toContain('return')
  expect(words).not.toContain('if')
})

test('a new file is all added, and texts without anything in common are not compared to the end', () => {
  expect(diffOf('', 'a\nb\n')).toMatchObject({ added: 2, removed: 0 })
  const long = (word: string) => Array.from({ length: 5_000 }, (_, index) => `${word} ${index}\n`).join('')
  expect(diffOf(long('a'), long('b'))).toBeUndefined()
})
