import {
  AioError,
  type ExecItem,
  type StreamFrame,
  type StreamOrder,
  type TerminalItem,
} from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { describe, expect, it, vi } from 'vitest'
import { Streams, type StreamsClient } from './streams.ts'

type Handlers = Parameters<StreamsClient['orchestrator']['streams']['subscribe']>[1]

function setUp() {
  const sent: StreamFrame[][] = []
  const answers: (() => void)[] = []
  const subscriptions: Handlers[] = []
  const client: StreamsClient = {
    orchestrator: {
      streams: {
        subscribe: (_input, handlers) => {
          subscriptions.push(handlers)
          return { unsubscribe: vi.fn() }
        },
      },
      send: {
        mutate: async ({ frames }, { signal }) => {
          sent.push(frames)
          await new Promise<void>((resolve, reject) => {
            answers.push(resolve)
            signal.addEventListener('abort', () => reject(new AioError('UNAVAILABLE', 'gone')))
          })
        },
      },
    },
  }
  const viewer = { credit: vi.fn(), close: vi.fn() }
  const exec = { credit: vi.fn(), close: vi.fn(), write: vi.fn(), end: vi.fn() }
  const opened: { send: (item: TerminalItem) => void; onEnd: (error?: unknown) => void }[] = []
  const started: { send: (item: ExecItem) => void; onEnd: (error?: unknown) => void }[] = []
  const terminals = {
    open: vi.fn((options: (typeof opened)[number]) => {
      opened.push(options)
      return viewer
    }),
    input: vi.fn(async () => undefined),
    resize: vi.fn(async () => undefined),
  }
  const execs = {
    open: vi.fn((options: (typeof started)[number]) => {
      started.push(options)
      return exec
    }),
  }
  const exports = {
    open: () => {
      throw new Error('not asked for here')
    },
  }
  const projects = { secrets: vi.fn(async () => []) }
  const gauge = { credit: vi.fn(), close: vi.fn() }
  const stats = { openStats: vi.fn(() => gauge) }
  const chats = { open: vi.fn(() => viewer) }
  const streams = new Streams({
    client,
    epoch: 7,
    linkKey: 'key',
    terminals,
    execs,
    exports,
    projects,
    stats,
    chats,
    log: pino({ level: 'silent' }),
  })
  const order = (value: StreamOrder) => subscriptions.at(-1)?.onData(value)
  return { sent, answers, subscriptions, viewer, exec, opened, started, terminals, stats, gauge, streams, order }
}

const sessionId = 'p_s'
const data = (text: string): TerminalItem => ({ type: 'data', offset: text.length, data: text })

describe('Streams', () => {
  it('hands each order to where it belongs', () => {
    using room = disposing(setUp())
    room.order({ type: 'open_terminal', streamId: 'viewer-1', sessionId, after: 5 })
    room.order({ type: 'credit', streamId: 'viewer-1', bytes: 10 })
    room.order({ type: 'open_stats', streamId: 'gauge-01', sessionId })
    room.order({ type: 'credit', streamId: 'gauge-01', bytes: 20 })
    room.order({ type: 'open_exec', streamId: 'exec-001', request: { execId: 'exec-001', sessionId, argv: ['ls'] } })
    room.order({ type: 'write', streamId: 'exec-001', data: 'aGk=' })
    room.order({ type: 'end', streamId: 'exec-001' })
    room.order({ type: 'close', streamId: 'exec-001' })
    room.order({ type: 'write', streamId: 'exec-001', data: 'bGF0ZQ==' })
    room.order({ type: 'terminal_input', sessionId, data: 'ls\r' })
    room.order({ type: 'terminal_resize', sessionId, size: { cols: 90, rows: 20 } })
    expect(room.stats.openStats).toHaveBeenCalledWith(expect.objectContaining({ sessionId }))
    expect(room.gauge.credit).toHaveBeenCalledWith(20)
    expect(room.terminals.open).toHaveBeenCalledWith(expect.objectContaining({ sessionId, after: 5 }))
    expect(room.viewer.credit).toHaveBeenCalledWith(10)
    expect(room.exec.write.mock.calls).toEqual([['aGk=']])
    expect(room.exec.end).toHaveBeenCalledOnce()
    expect(room.exec.close).toHaveBeenCalledOnce()
    expect(room.terminals.input).toHaveBeenCalledWith(sessionId, 'ls\r')
    expect(room.terminals.resize).toHaveBeenCalledWith(sessionId, { cols: 90, rows: 20 })
  })

  it('has one call under way and joins what comes meanwhile, within the limit of a call', async () => {
    using room = disposing(setUp())
    room.order({ type: 'open_terminal', streamId: 'viewer-1', sessionId })
    room.opened[0]?.send(data('a'))
    await vi.waitFor(() => expect(room.sent).toHaveLength(1))
    const large = '\x1b'.repeat(100_000)
    for (const text of ['b', 'c', large, large]) room.opened[0]?.send(data(text))
    room.opened[0]?.onEnd()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(room.sent).toHaveLength(1)
    for (const expected of [3, 2]) {
      room.answers.at(-1)?.()
      const calls = room.sent.length
      await vi.waitFor(() => expect(room.sent).toHaveLength(calls + 1))
      expect(room.sent.at(-1)).toHaveLength(expected)
    }
    expect(room.sent.flat().at(-1)).toEqual({ type: 'closed', streamId: 'viewer-1' })
  })

  it('tells why a stream failed', async () => {
    using room = disposing(setUp())
    room.order({ type: 'open_exec', streamId: 'exec-001', request: { execId: 'exec-001', sessionId, argv: ['ls'] } })
    room.started[0]?.onEnd(new AioError('NOT_RUNNING', 'It does not run.'))
    await vi.waitFor(() => expect(room.sent).toHaveLength(1))
    const error = { code: 'NOT_RUNNING', message: 'It does not run.' }
    expect(room.sent[0]).toEqual([{ type: 'closed', streamId: 'exec-001', error }])
  })

  it('ends all streams when the connection is lost, and takes orders again on the next', async () => {
    using room = disposing(setUp())
    room.order({ type: 'open_terminal', streamId: 'viewer-1', sessionId })
    room.opened[0]?.send(data('a'))
    await vi.waitFor(() => expect(room.sent).toHaveLength(1))
    room.subscriptions[0]?.onError(new AioError('UNAVAILABLE', 'lost'))
    await vi.waitFor(() => expect(room.viewer.close).toHaveBeenCalledOnce())
    await vi.waitFor(() => expect(room.subscriptions).toHaveLength(2))
    room.order({ type: 'open_terminal', streamId: 'viewer-2', sessionId })
    room.opened[1]?.send(data('b'))
    await vi.waitFor(() => expect(room.sent).toHaveLength(2))
    room.streams[Symbol.dispose]()
    await vi.waitFor(() => expect(room.viewer.close).toHaveBeenCalledTimes(2))
  })
})

function disposing<T extends { streams: Disposable }>(room: T): T & Disposable {
  return { ...room, [Symbol.dispose]: () => room.streams[Symbol.dispose]() }
}
