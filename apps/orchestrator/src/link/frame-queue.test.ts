import { LIMITS, type StreamFrame } from '@ai-orchestration/protocol'
import { expect, it } from 'vitest'
import { FrameQueue } from './frame-queue.ts'

const signal = new AbortController().signal
const frame = (streamId: string, offset: number, data = 'x'): StreamFrame => ({
  type: 'terminal',
  streamId,
  item: { type: 'data', offset, data },
})
const offsets = (frames: StreamFrame[], streamId: string) =>
  frames
    .map((entry) => (entry.streamId === streamId && entry.type === 'terminal' ? entry.item.offset : -1))
    .filter((offset) => offset >= 0)

it('lets a small stream pass a flood, and keeps the order within each', async () => {
  const queue = new FrameQueue()
  for (let offset = 0; offset < 20; offset++) queue.add(frame('flood-01', offset, 'x'.repeat(60_000)))
  for (let offset = 0; offset < 3; offset++) queue.add(frame('typing-1', offset))
  const first = await queue.take(signal)
  expect(offsets(first, 'typing-1')).toEqual([0, 1, 2])
  expect(Buffer.byteLength(JSON.stringify(first))).toBeLessThanOrEqual(256 * 1024 + 100)
  const all = [...first]
  while (all.length < 23) all.push(...(await queue.take(signal)))
  expect(offsets(all, 'flood-01')).toEqual(Array.from({ length: 20 }, (_, index) => index))
})

it('sends a frame that is larger than a call alone, and no more than a call takes, however it is encoded', async () => {
  const queue = new FrameQueue()
  queue.add(frame('flood-01', 0, 'x'.repeat(300_000)))
  for (let offset = 1; offset < 6; offset++) queue.add(frame('flood-01', offset, '\x1b'.repeat(64_000)))
  expect(await queue.take(signal)).toHaveLength(1)
  for (const count of [2, 2, 1]) {
    const taken = await queue.take(signal)
    expect(taken).toHaveLength(count)
    expect(JSON.stringify(taken).length).toBeLessThan(LIMITS.orchestratorPayloadMaxBytes)
  }
  for (let offset = 2; offset < 3_000; offset++) queue.add(frame('flood-01', offset))
  expect(await queue.take(signal)).toHaveLength(1_024)
})

it('waits for a frame, and not longer than it is wanted', async () => {
  const queue = new FrameQueue()
  const taking = queue.take(signal)
  queue.add(frame('typing-1', 1))
  expect(await taking).toHaveLength(1)
  const controller = new AbortController()
  const aborted = queue.take(controller.signal)
  controller.abort()
  expect(await aborted).toEqual([])
})
