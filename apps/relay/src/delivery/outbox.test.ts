import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Outbox } from './outbox.ts'
import { atEndOfTurn } from './turn.ts'

function aBox() {
  const writes: string[] = []
  const state = { isOpen: true, flushes: 0, written: 0 }
  const socket = new Writable({
    write(chunk, _encoding, done) {
      writes.push(String(chunk))
      done()
    },
  })
  const outbox = new Outbox({
    socket,
    canWrite: () => state.isOpen,
    onFlushed: () => {
      state.flushes += 1
    },
    onWritten: () => {
      state.written += 1
    },
  })
  return { outbox, writes, state }
}

test('what a turn brings leaves in one write, also what is added as it ends', async () => {
  const { outbox, writes, state } = aBox()
  atEndOfTurn(() => outbox.add(Buffer.from('3')))
  outbox.add(Buffer.from('1'))
  await Promise.resolve()
  outbox.add(Buffer.from('2'))
  expect([writes.length, outbox.bytes]).toEqual([0, 2])
  await turn()
  expect(writes).toEqual(['123'])
  expect(outbox.bytes).toBe(0)
  await turn()
  expect(state).toMatchObject({ flushes: 1, written: 1 })
})

test('much is not held back, and nothing follows a close', async () => {
  const { outbox, writes, state } = aBox()
  outbox.add(Buffer.alloc(70_000, 'x'))
  expect(writes.length).toBe(1)
  outbox.add(Buffer.from('said before'))
  outbox.flush()
  state.isOpen = false
  outbox.add(Buffer.from('said after'))
  await turn()
  expect(writes.slice(1)).toEqual(['said before'])
  expect(outbox.bytes).toBe(0)
})
