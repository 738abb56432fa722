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
    owner: {
      get isOpen() {
        return state.isOpen
      },
      flushed: () => {
        state.flushes += 1
      },
      written: () => {
        state.written += 1
      },
    },
  })
  return { outbox, writes, state }
}

test('what a turn brings leaves in one write, also what is added as it ends', async () => {
  const { outbox, writes, state } = aBox()
  atEndOfTurn({ endOfTurn: () => outbox.add(Buffer.from('3')) })
  outbox.add(Buffer.from('1'))
  await Promise.resolve()
  outbox.add(Buffer.from('2'))
  expect([writes.length, outbox.bytes]).toEqual([0, 2])
  await turn()
  expect(writes).toEqual(['123'])
  expect(outbox.bytes).toBe(0)
  await turn()
  expect(state).toMatchObject({ flushes: 1, written: 0 })
})

test('much is not held back, and nothing follows a close', async () => {
  const { outbox, writes, state } = aBox()
  outbox.add(Buffer.alloc(70_000, 'x'))
  expect(writes.length).toBe(1)
  await turn()
  expect(state.written).toBe(1)
  outbox.add(Buffer.from('said before'))
  outbox.flush()
  state.isOpen = false
  outbox.add(Buffer.from('said after'))
  await turn()
  expect(writes.slice(1)).toEqual(['said before'])
  expect(outbox.bytes).toBe(0)
})

test('we are told of what leaves also when it is little behind something that waits', async () => {
  const held: (() => void)[] = []
  const socket = new Writable({
    write(_chunk, _encoding, done) {
      held.push(done)
    },
  })
  let written = 0
  const owner = {
    isOpen: true,
    flushed: () => undefined,
    written: () => {
      written += 1
    },
  }
  const outbox = new Outbox({ socket, owner })
  outbox.add(Buffer.from('1'))
  await turn()
  outbox.add(Buffer.from('23'))
  await turn()
  outbox.add(Buffer.from('4'))
  expect(outbox.bytes).toBe(4)
  held.shift()?.()
  await turn()
  expect(outbox.bytes).toBe(3)
  held.shift()?.()
  await turn()
  expect([written, outbox.bytes]).toEqual([1, 1])
})
