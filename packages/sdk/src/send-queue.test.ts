import { expect, test } from 'vitest'
import { joinBytes, joinText, SendQueue } from './send-queue.ts'

test('pieces keep their order and are joined while a call is under way', async () => {
  const calls: string[] = []
  const gates: (() => void)[] = []
  const queue = new SendQueue<string>(
    (text) => {
      calls.push(text)
      return new Promise<void>((resolve) => gates.push(resolve))
    },
    (pieces) => joinText(pieces, 100),
  )
  const first = queue.push('a')
  await Promise.resolve()
  await Promise.resolve()
  const rest = Promise.all(['b', 'c', 'd'].map((piece) => queue.push(piece)))
  gates.shift()?.()
  await first
  await new Promise((resolve) => setTimeout(resolve))
  gates.shift()?.()
  await rest
  expect(calls).toEqual(['a', 'bcd'])
})

test('a failed call fails what waited behind it, and later pieces start afresh', async () => {
  let isBroken = true
  const sent: string[] = []
  const queue = new SendQueue<string>(
    async (text) => {
      if (isBroken) throw new Error('gone')
      sent.push(text)
    },
    (pieces) => pieces,
  )
  await expect(Promise.all([queue.push('a'), queue.push('b')])).rejects.toThrow('gone')
  isBroken = false
  await queue.push('c')
  expect(sent).toEqual(['c'])
})

test('texts are cut to a length, never within a character', () => {
  expect(joinText(['ab', 'c👋d'], 4)).toEqual(['abc', '👋d'])
  expect(joinText(['abcdefgh'], 3)).toEqual(['abc', 'def', 'gh'])
  expect(joinText([''], 3)).toEqual([])
})

test('bytes are cut to a length', () => {
  expect(joinBytes([Uint8Array.of(1, 2, 3), Uint8Array.of(4)], 3)).toEqual([Uint8Array.of(1, 2, 3), Uint8Array.of(4)])
})
