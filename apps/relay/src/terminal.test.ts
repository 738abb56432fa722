import { type ExecItem, LIMITS, type StreamFrame, type TerminalItem } from '@ai-orchestration/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { aProject, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { ROOT_TOKEN, type TestClient, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
let client: TestClient
let fake: FakeOrchestrator
beforeEach(async () => {
  relay = await TestRelay.start()
  client = relay.client()
  fake = await FakeOrchestrator.connect(relay, {
    withStreams: true,
    projects: [aProject('p')],
    sessions: [aSession('p', 's')],
  })
})
afterEach(async () => {
  await client[Symbol.asyncDispose]()
  await fake[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
})

const sessionId = 'p_s'

/** Plays the source of a terminal: frames of 32 KiB while there is credit, until so many bytes are out, then the exit. */
function playTerminal(total: number): { sent: () => number } {
  let sent = 0
  let credit = 0
  let isSending = false
  let hasEnded = false
  const chunk = 'x'.repeat(32 * 1024)
  const pump = async (streamId: string) => {
    if (isSending || hasEnded) return
    isSending = true
    while (credit >= chunk.length && sent < total) {
      sent += chunk.length
      credit -= chunk.length
      await fake.send({ type: 'terminal', streamId, item: { type: 'data', offset: sent, data: chunk } })
    }
    isSending = false
    if (sent < total) return
    hasEnded = true
    await fake.send({ type: 'terminal', streamId, item: { type: 'exit', offset: sent } })
  }
  fake.onOrder((order) => {
    if (order.type !== 'credit') return
    credit += order.bytes
    pump(order.streamId).catch(() => undefined)
  })
  return { sent: () => sent }
}

test('a viewer gets what the session shows, keys and sizes go up in order, and leaving closes the stream', async () => {
  const items: TerminalItem[] = []
  const watching = await new Promise<{ unsubscribe(): void }>((resolve) => {
    const subscription = client.call.terminal.watch.subscribe(
      { sessionId, size: { cols: 80, rows: 24 }, lastEventId: '12' },
      { onStarted: () => resolve(subscription), onData: ({ data }) => items.push(data) },
    )
  })
  await expect.poll(() => fake.orders.length).toBe(2)
  const [open, credit] = fake.orders
  expect(open).toMatchObject({ type: 'open_terminal', sessionId, size: { cols: 80, rows: 24 }, after: 12 })
  expect(credit).toMatchObject({ type: 'credit', bytes: LIMITS.streamWindowBytes })
  const streamId = open?.type === 'open_terminal' ? open.streamId : ''
  await fake.send({ type: 'terminal', streamId, item: { type: 'data', offset: 17, data: 'hällo' } })
  await expect.poll(() => items).toEqual([{ type: 'data', offset: 17, data: 'hällo' }])
  for (const key of ['a', 'b', 'c']) await client.call.terminal.write.mutate({ sessionId, data: key })
  await client.call.terminal.resize.mutate({ sessionId, cols: 100, rows: 30 })
  watching.unsubscribe()
  await expect
    .poll(() => fake.orders.slice(2))
    .toEqual([
      ...['a', 'b', 'c'].map((data) => ({ type: 'terminal_input', sessionId, data })),
      { type: 'terminal_resize', sessionId, size: { cols: 100, rows: 30 } },
      { type: 'close', streamId },
    ])
})

test('a viewer with the role viewer neither types nor sets the size', async () => {
  await using viewer = relay.client((await relay.token('viewer')).token)
  viewer.call.terminal.watch.subscribe({ sessionId, size: { cols: 9, rows: 9 } }, {})
  await expect.poll(() => fake.orders[0]).toMatchObject({ type: 'open_terminal' })
  expect(fake.orders[0]).not.toHaveProperty('size')
  await expect(viewer.call.terminal.write.mutate({ sessionId, data: 'x' })).rejects.toMatchObject({
    data: { code: 'FORBIDDEN' },
  })
})

test('a stalled reader stops the source, costs little memory, loses nothing, and others are not held up (S-1)', async () => {
  const total = 64 * 1024 * 1024
  const source = playTerminal(total)
  const socket = await relay.socket({ token: ROOT_TOKEN })
  let received = 0
  let lastOffset = 0
  let hasEnded = false
  socket.on('message', (data) => {
    const { result }: { result?: { data?: { data: TerminalItem } } } = JSON.parse(data.toString())
    const item = result?.data?.data
    if (item?.type === 'data') {
      expect(item.offset).toBe(lastOffset + item.data.length)
      lastOffset = item.offset
      received += item.data.length
    }
    if (item?.type === 'exit') hasEnded = true
  })
  socket.pause()
  const before = process.memoryUsage().rss
  socket.send(
    JSON.stringify({ id: 1, method: 'subscription', params: { path: 'terminal.watch', input: { sessionId } } }),
  )
  // Wait until the source stands still.
  let seen = -1
  await expect
    .poll(
      () => {
        const isStill = seen === source.sent() && seen > 0
        seen = source.sent()
        return isStill
      },
      { interval: 300, timeout: 20_000 },
    )
    .toBe(true)
  expect(source.sent()).toBeLessThan(16 * 1024 * 1024)
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  expect(await client.call.sessions.get.query({ sessionId })).toMatchObject({ id: sessionId })
  socket.resume()
  await expect.poll(() => hasEnded, { timeout: 30_000 }).toBe(true)
  expect(received).toBe(total)
  socket.terminate()
})

test('a session that is not there, and a stream that its orchestrator cannot open, are typed errors', async () => {
  const errorOf = (id: string) =>
    new Promise((resolve) => {
      client.call.terminal.watch.subscribe({ sessionId: id }, { onError: ({ data }) => resolve(data?.code) })
    })
  expect(await errorOf('p_none')).toBe('NOT_FOUND')
  fake.onOrder((order) => {
    if (order.type !== 'open_terminal') return
    const { streamId } = order
    fake.send({ type: 'closed', streamId, error: { code: 'NOT_RUNNING', message: 'stopped' } }).catch(() => undefined)
  })
  expect(await errorOf(sessionId)).toBe('NOT_RUNNING')
})

test('when the orchestrator goes, a viewer may watch again and an exec is interrupted', async () => {
  const codes: Promise<unknown>[] = [
    new Promise((resolve) => {
      client.call.terminal.watch.subscribe({ sessionId }, { onError: ({ data }) => resolve(data?.code) })
    }),
    new Promise((resolve) => {
      client.call.sessions.exec.subscribe(
        { execId: 'exec-0001', sessionId, argv: ['sleep', '9'] },
        { onError: ({ data }) => resolve(data?.code) },
      )
    }),
  ]
  await expect.poll(() => fake.orders.filter(({ type }) => type.startsWith('open')).length).toBe(2)
  await fake.closeStreams()
  expect(await Promise.all(codes)).toEqual(['UNAVAILABLE', 'INTERRUPTED'])
  await fake[Symbol.asyncDispose]()
  await expect.poll(() => relay.relay.services.fleet.onlineCount()).toBe(0)
  await expect(client.call.terminal.write.mutate({ sessionId, data: 'x' })).rejects.toMatchObject({
    data: { code: 'ORCHESTRATOR_OFFLINE' },
  })
})

test('an exec keeps stdout and stderr apart, takes stdin from its own client only, and ends with its exit', async () => {
  const execId = 'exec-0002'
  fake.onOrder((order) => {
    const reply = (...items: ExecItem[]) => {
      const frames = items.map((item): StreamFrame => ({ type: 'exec', streamId: execId, item }))
      fake.send(...frames).catch(() => undefined)
    }
    if (order.type === 'write') reply({ type: 'stdout', data: order.data }, { type: 'stderr', data: btoa('warn') })
    if (order.type === 'end') reply({ type: 'exit', code: 3 })
  })
  const items: ExecItem[] = []
  const ended = new Promise<void>((resolve, reject) => {
    client.call.sessions.exec.subscribe(
      { execId, sessionId, argv: ['cat'], stdin: true },
      { onData: (item) => items.push(item), onComplete: resolve, onError: reject },
    )
  })
  await expect.poll(() => fake.orders.length).toBe(2)
  await using stranger = relay.client((await relay.token('operator')).token)
  await expect(stranger.call.sessions.execInput.mutate({ execId, data: btoa('evil') })).rejects.toMatchObject({
    data: { code: 'NOT_FOUND' },
  })
  await client.call.sessions.execInput.mutate({ execId, data: btoa('hi') })
  await client.call.sessions.execInput.mutate({ execId, end: true })
  await ended
  expect(items).toEqual([
    { type: 'stdout', data: btoa('hi') },
    { type: 'stderr', data: btoa('warn') },
    { type: 'exit', code: 3 },
  ])
})

test('statistics come for as long as somebody watches, and the orchestrator hears when nobody does', async () => {
  const stats = { sessionId, at: '2026-01-01T00:00:00.000Z', cpuPercent: 12.5, memoryBytes: 1_000, pids: 3 }
  let streamId = ''
  fake.onOrder((order) => {
    if (order.type !== 'open_stats') return
    streamId = order.streamId
    fake.send({ type: 'stats', streamId, item: { type: 'stats', stats } }).catch(() => undefined)
  })
  const got = await new Promise((resolve, reject) => {
    const subscription = client.call.sessions.stats.subscribe(
      { sessionId },
      {
        onData: (item) => {
          subscription.unsubscribe()
          resolve(item)
        },
        onError: reject,
      },
    )
  })
  expect(got).toEqual(stats)
  expect(fake.orders).toContainEqual({ type: 'open_stats', streamId, sessionId })
  await expect.poll(() => fake.orders).toContainEqual({ type: 'close', streamId })
})

test('keys typed into a paused session are refused with what to do; one that is only idle takes them', async () => {
  const type = async (reason: 'asked' | 'idle' | 'disk') => {
    const pause = { reason, at: '2026-01-01T00:00:00.000Z' }
    const session = { ...aSession('p', 's', fake.id), state: 'paused' as const, pause }
    await fake.publish({ type: 'session_updated', sessionId, projectId: 'p', session })
    return await client.call.terminal.write.mutate({ sessionId, data: 'x' })
  }
  await expect(type('asked')).rejects.toThrow(/paused.*aio sessions resume p_s/)
  await expect(type('disk')).rejects.toThrow(/paused/)
  await expect(type('idle')).resolves.toEqual({})
})
