import { expect, test } from 'vitest'
import { blocksOf } from './blocks.ts'

test('cuts at blank lines and keeps fences and lists whole', () => {
  expect(blocksOf('one\ntwo\n\nthree').map((block) => block.trim())).toEqual(['one\ntwo', 'three'])
  expect(blocksOf('a\n\n```js\nx\n\ny\n```\n\nb').map((block) => block.trim())).toEqual([
    'a',
    '```js\nx\n\ny\n```',
    'b',
  ])
  expect(blocksOf('- a\n\n- b\n\n  more\n\nend').map((block) => block.trim())).toEqual(['- a\n\n- b\n\n  more', 'end'])
})

test('a fence that is not closed yet is one block', () => {
  expect(blocksOf('a\n\n````\n```\n\nb\n\nc')).toHaveLength(2)
})

test('leaves nothing out, however far the text has come', () => {
  const text = 'First.\n\n1. one\n2. two\n\n```ts\nconst a = 1\n\nb()\n```\n\nLast words, many of them.'
  for (let end = 1; end <= text.length; end += 1)
    expect(blocksOf(text.slice(0, end)).join('\n').trim()).toBe(text.slice(0, end).trim())
})
