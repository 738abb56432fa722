import { AioError } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { ResumingStream, type Sink } from './resuming-stream.ts'

/** A source of the numbers 1, 2, 3, … that can be opened again after the last one that was taken. */
function numbers(options: { highWater?: number; last?: number; canReopen?: boolean } = {}) {
  const opened: number[] = []
  let received = 0
  let sink: Sink<number> | undefined
  const stream = new ResumingStream<number>({
    open: (into) => {
      opened.push(received)
      sink = into
      return () => {
        if (sink === into) sink = undefined
      }
    },
    accept: (item) => {
      if (item <= received) return false
      received = item
      return true
    },
    sizeOf: () => 1,
    isLast: (item) => item === options.last,
    canReopen: () => options.canReopen ?? false,
    highWater: options.highWater ?? 100,
    random: () => 0,
    signal: undefined,
    onEnd: () => undefined,
  })
  return { stream, opened, sink: () => sink }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5))

test('it opens again after the last item when its socket is lost, and drops what comes twice', async () => {
  const { stream, opened, sink } = numbers()
  sink()?.item(1)
  sink()?.item(2)
  sink()?.lost()
  expect(sink()).toBeUndefined()
  await turn()
  sink()?.item(2)
  sink()?.item(3)
  expect(opened).toEqual([0, 2])
  expect([await stream.next(), await stream.next(), await stream.next()].map((result) => result.value)).toEqual([
    1, 2, 3,
  ])
  stream.end()
  expect(await stream.next()).toEqual({ done: true, value: undefined })
})

test('a reader that is slow closes the subscription; it is opened again when a quarter is left', async () => {
  const { stream, opened, sink } = numbers({ highWater: 8 })
  for (let at = 1; at <= 20; at += 1) sink()?.item(at)
  expect(sink()).toBeUndefined()
  for (let at = 1; at <= 6; at += 1) expect((await stream.next()).value).toBe(at)
  expect(opened).toEqual([0])
  await stream.next()
  expect(opened).toEqual([0, 9])
})

test('an error is thrown after the items before it, unless the stream may open again', async () => {
  const refused = numbers()
  refused.sink()?.item(1)
  refused.sink()?.failed(new AioError('FORBIDDEN', 'no'))
  expect((await refused.stream.next()).value).toBe(1)
  await expect(refused.stream.next()).rejects.toMatchObject({ code: 'FORBIDDEN' })
  expect((await refused.stream.next()).done).toBe(true)
  const passing = numbers({ canReopen: true })
  passing.sink()?.failed(new AioError('UNAVAILABLE', 'later'))
  await turn()
  expect(passing.opened).toEqual([0, 0])
})

test('nothing follows the last item', async () => {
  const { stream, opened, sink } = numbers({ last: 2 })
  const before = sink()
  before?.item(1)
  before?.item(2)
  before?.item(3)
  await turn()
  expect([(await stream.next()).value, (await stream.next()).value]).toEqual([1, 2])
  expect((await stream.next()).done).toBe(true)
  expect(opened).toEqual([0])
})
