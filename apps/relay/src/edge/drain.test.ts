import { expect, test } from 'vitest'
import { Drain } from './drain.ts'

test('lets producers go one at a time, each only while there is room', async () => {
  let buffered = 10
  const drain = new Drain({ buffered: () => buffered, softBytes: 10 })
  const went: number[] = []
  for (const producer of [1, 2, 3])
    drain.room().then(() => {
      went.push(producer)
      buffered += 5
    })
  await turn()
  expect(went).toEqual([])
  buffered = 0
  drain.written()
  await turn()
  await turn()
  await turn()
  expect(went).toEqual([1, 2])
  drain.end()
  await turn()
  expect(went).toEqual([1, 2, 3])
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
