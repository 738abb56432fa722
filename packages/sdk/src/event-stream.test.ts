import { AioError, type AioEvent, type EventFilter } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { EventStream } from './event-stream.ts'
import type { Sink } from './resuming-stream.ts'

const EPOCH = '01JD000000000000000000EPCH'
const at = '2026-01-01T00:00:00.000Z'
const position = (seq: number) => `${EPOCH}.${seq}`
const left = (seq: number): AioEvent => ({
  type: 'orchestrator_left',
  position: position(seq),
  at,
  orchestratorId: '0'.repeat(26),
  reason: 'timeout',
})
const gap = (to: number): AioEvent => ({
  type: 'gap',
  position: position(to),
  at,
  reason: 'overflow',
  to: position(to),
})
const snapshot = (seq: number): AioEvent => ({
  type: 'snapshot',
  position: position(seq),
  at,
  orchestrators: [],
  projects: [],
  sessions: [],
  questions: [],
})

function watching(filter: EventFilter) {
  const opened: EventFilter[] = []
  let sink: Sink<AioEvent> | undefined
  const open = (where: EventFilter, into: Sink<AioEvent>) => {
    opened.push(where)
    sink = into
    return () => undefined
  }
  const stream = new EventStream(open, filter, { random: () => 0, signal: undefined, onEnd: () => undefined })
  const say = (...events: AioEvent[]) => {
    for (const event of events) sink?.item(event)
  }
  return { stream, opened, say, sink: () => sink }
}

test('cut off between a gap and its state it asks for both again, and tells of the gap once', async () => {
  const { stream, opened, say, sink } = watching({ after: position(3) })
  say(left(4), gap(9))
  sink()?.lost()
  await expect.poll(() => opened.length).toBe(2)
  expect(opened[1]).toEqual({ after: position(4) })
  say(gap(12), snapshot(12), left(12), left(13))
  const read: string[] = []
  const positions: (string | undefined)[] = []
  for (let count = 0; count < 4; count += 1) {
    const { value } = await stream.next()
    read.push(`${value?.type} ${value?.position.split('.')[1]}`)
    positions.push(stream.position?.split('.')[1])
  }
  expect(read).toEqual(['orchestrator_left 4', 'gap 9', 'snapshot 12', 'orchestrator_left 13'])
  // What a caller stores never lies between the two either.
  expect(positions).toEqual(['4', '4', '12', '13'])
})

test('a relay that is restarting is asked again, also by a stream that has had nothing yet', async () => {
  const { opened, sink } = watching({})
  sink()?.failed(new AioError('UNAVAILABLE', 'restarting', { details: { retryAfterMs: 2_000 } }))
  await expect.poll(() => opened.length).toBe(2)
  expect(opened[1]).toEqual({ snapshot: true })
})
