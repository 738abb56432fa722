import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { initTRPC, tracked } from '@trpc/server'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { Handover } from '../delivery/handover.ts'
import { appRouter } from '../router/index.ts'
import { Calls } from './calls.ts'
import { readFrame } from './frame.ts'
import { EDGE_LIMITS } from './limits.ts'
import { Procedures } from './procedures.ts'

const t = initTRPC
  .context<{ who: string; trail?: string[] }>()
  .meta<{ name: string }>()
  .create({
    isDev: false,
    errorFormatter: ({ shape, error, path, input, type }) => ({
      ...shape,
      data: { code: error.code, path, input, type },
    }),
  })
const base = t.procedure.meta({ name: 'base' }).use(async ({ ctx, meta, path, type, getRawInput, next }) => {
  const result = await next({
    ctx: { ...ctx, trail: [meta?.name ?? '', path, type, JSON.stringify(await getRawInput())] },
  })
  if (!result.ok && result.error.message === 'change me') throw new Error('changed')
  return result
})
const input = z.object({ n: z.number().default(7) })
const cleanedUp: string[] = []
const router = t.router({
  inner: t.router({
    query: base.input(input).query(({ ctx, input: { n } }) => ({ n, ...ctx })),
    twice: base
      .input(input)
      .input(z.object({ s: z.string() }))
      .mutation(({ input: both }) => both),
    replaced: base.use(({ next }) => next({ input: 'other' })).query(({ input: given }) => ({ given })),
    nothing: base.mutation(() => undefined),
    throws: base.mutation(() => {
      throw new Error('it broke')
    }),
    changes: base.query(() => {
      throw new Error('change me')
    }),
    items: base.query(async function* () {
      yield 1
    }),
  }),
  sub: t.router({
    three: base.input(input).subscription(async function* ({ ctx, input: { n } }) {
      yield ctx.trail
      yield n
      yield tracked('place', { n })
    }),
    resumed: base.input(z.any()).subscription(async function* ({ input: given }) {
      yield given
    }),
    breaks: base.subscription(async function* () {
      yield 1
      throw new Error('it broke')
    }),
    refused: base.subscription((): AsyncGenerator<number> => {
      throw new Error('refused')
    }),
    // A client that has no types of ours may be answered by a procedure that forgot its generator.
    none: base.subscription(() => 3 as unknown as AsyncGenerator<number>),
    endless: base.subscription(async function* ({ signal, path }) {
      try {
        yield 'first'
        while (signal?.aborted === false) await sleep(5)
      } finally {
        cleanedUp.push(path)
      }
    }),
    slowToStart: base.subscription(async ({ signal }) => {
      await sleep(50)
      return (async function* () {
        yield signal?.aborted
      })()
    }),
    cancelled: base.subscription(async ({ signal }): Promise<AsyncGenerator<number>> => {
      await sleep(20)
      signal?.throwIfAborted()
      throw new Error('it was not stopped')
    }),
  }),
})
const procedures = new Procedures(router)

let server: WebSocketServer
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  applyWSSHandler({ wss: server, router, createContext: () => ({ who: 'me' }) })
  await once(server, 'listening')
})
afterAll(() => {
  server.close()
})

/** Something that frames are sent to, and what it answers. */
interface Side {
  send(text: string): void
  answers: unknown[]
}

async function stock(): Promise<Side & Disposable> {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const socket = new WebSocket(`ws://127.0.0.1:${address.port}`)
  const answers: unknown[] = []
  socket.on('message', (data) => answers.push(JSON.parse(String(data))))
  await once(socket, 'open')
  return { send: (text) => socket.send(text), answers, [Symbol.dispose]: () => socket.terminate() }
}

function ours(of = procedures): Side & { calls: Calls; state: { isOpen: boolean }; unexpected: unknown[] } {
  const answers: unknown[] = []
  const unexpected: unknown[] = []
  const state = { isOpen: true }
  const port = {
    get isOpen() {
      return state.isOpen
    },
    send: (text: string) => {
      answers.push(JSON.parse(text))
    },
    context: () => ({ who: 'me' }),
    tooEarlyMs: () => 0,
    unexpected: (error: unknown) => {
      unexpected.push(error)
    },
  }
  const calls = new Calls({ procedures: of, limits: EDGE_LIMITS, port })
  const send = (text: string) => {
    const frame = readFrame(text, 100)
    if (frame.type !== 'calls') throw new Error('not calls')
    expect(calls.take(frame.calls)).toBe(true)
  }
  return { send, answers, calls, state, unexpected }
}

const call = (method: string, path: string, more: object = {}) => ({ id: 1, method, params: { path, ...more } })
const stop = { id: 1, method: 'subscription.stop' }

test.each([
  ['a query', [call('query', 'inner.query', { input: { n: 3 } })], 1],
  ['JSON-RPC', [{ ...call('query', 'inner.query', { input: {} }), id: 'two', jsonrpc: '2.0' }], 1],
  ['no input', [call('query', 'inner.query')], 1],
  ['two inputs', [call('mutation', 'inner.twice', { input: { n: 1, s: 'x' } })], 1],
  ['a bad input', [call('mutation', 'inner.twice', { input: { n: 'no' } })], 1],
  ['an input that a middleware replaces', [call('query', 'inner.replaced', { input: 1 })], 1],
  ['no output', [call('mutation', 'inner.nothing')], 1],
  ['an error', [{ ...call('mutation', 'inner.throws'), jsonrpc: '2.0' }], 1],
  ['an error that a middleware changes', [call('query', 'inner.changes')], 1],
  ['items where a value belongs', [call('query', 'inner.items')], 1],
  ['another kind of procedure', [call('mutation', 'inner.query')], 1],
  ['a query for a subscription', [call('query', 'sub.three')], 1],
  ['no procedure', [call('query', 'inner')], 1],
  ['a dangerous path', [call('query', '__proto__')], 1],
  ['another', [call('subscription', 'constructor.prototype')], 1],
  ['a subscription', [call('subscription', 'sub.three', { input: { n: 2 } })], 5],
  ['one in JSON-RPC', [{ ...call('subscription', 'sub.three', { input: {} }), jsonrpc: '2.0' }], 5],
  ['one with a bad input', [call('subscription', 'sub.three', { input: 5 })], 1],
  ['one that resumes', [call('subscription', 'sub.resumed', { input: { a: 1 }, lastEventId: 'x' })], 3],
  ['one that resumes without input', [call('subscription', 'sub.resumed', { lastEventId: 'x' })], 3],
  [
    'one that resumes with an input of no fields',
    [call('subscription', 'sub.resumed', { input: 'a', lastEventId: 'x' })],
    3,
  ],
  ['one that breaks', [call('subscription', 'sub.breaks')], 4],
  ['one that is refused', [call('subscription', 'sub.refused')], 1],
  ['one that gives no items', [call('subscription', 'sub.none')], 1],
  ['one that is stopped', [call('subscription', 'sub.endless'), 'answered', stop], 3],
  ['one that is stopped before it starts', [call('subscription', 'sub.slowToStart'), stop], 1],
  ['one whose procedure gives up when stopped', [call('subscription', 'sub.cancelled'), stop], 1],
  ['a stop of nothing, then a call', [stop, call('query', 'inner.query')], 1],
  [
    'the id of one that is over',
    [
      call('subscription', 'sub.three', { input: {} }),
      'answered',
      'answered',
      'answered',
      'answered',
      'answered',
      call('query', 'inner.query'),
    ],
    6,
  ],
])('%s is answered as by the stock adapter', async (_what, messages, answerCount) => {
  using expected = await stock()
  const own = ours()
  for (const side of [expected, own]) {
    for (const [index, message] of messages.entries())
      if (message === 'answered') await expect.poll(() => side.answers.length).toBeGreaterThanOrEqual(index)
      else side.send(JSON.stringify(message))
    await expect.poll(() => side.answers.length).toBe(answerCount)
  }
  await sleep(20) // nothing may follow
  expect(own.answers).toEqual(expected.answers)
  expect(expected.answers.length).toBe(answerCount)
})

test('when the connection goes, its subscriptions end and clean up, and nothing is said any more', async () => {
  const own = ours()
  own.send(JSON.stringify([call('subscription', 'sub.endless'), { ...call('subscription', 'sub.cancelled'), id: 2 }]))
  await expect.poll(() => own.answers.length, { interval: 1 }).toBe(2) // the first has begun, the other not yet
  cleanedUp.length = 0
  own.state.isOpen = false
  own.calls.end()
  await expect.poll(() => cleanedUp).toEqual(['sub.endless'])
  await sleep(80)
  expect(own.answers.length).toBe(2)
  expect(own.unexpected).toEqual([])
})

test('an answer that cannot be encoded is an error, not silence', async () => {
  const own = ours(new Procedures(t.router({ unencodable: t.procedure.query(() => 1n) })))
  own.send(JSON.stringify(call('query', 'unencodable')))
  await expect.poll(() => own.answers).toMatchObject([{ id: 1, error: { data: { code: 'INTERNAL_SERVER_ERROR' } } }])
})

test('what is handed over starts, writes its own frames, and ends once, whoever ends it', async () => {
  const log: string[] = []
  let end: { stop(): void; fail(error: unknown): void } | undefined
  const handed = t.procedure.input(z.enum(['waits', 'is over at once'])).subscription(
    ({ input: how }) =>
      new Handover<string>((prefix, ending) => {
        log.push(prefix)
        end = ending
        if (how === 'is over at once') ending.stop()
        return () => {
          log.push('left')
        }
      }),
  )
  const own = ours(new Procedures(t.router({ handed })))
  const watch = (how: string) => JSON.stringify(call('subscription', 'handed', { input: how }))
  const types = () => own.answers.splice(0).map((answer) => Object(Object(answer).result).type ?? 'error')
  own.send(watch('waits'))
  await expect.poll(() => own.answers.length).toBe(1)
  own.send(JSON.stringify(stop))
  end?.stop()
  end?.fail(new Error('too late'))
  expect([types(), log.splice(0)]).toEqual([
    ['started', 'stopped'],
    ['{"id":1,"result":', 'left'],
  ])
  own.send(watch('waits'))
  await expect.poll(() => own.answers.length).toBe(1)
  end?.fail(new Error('it broke'))
  expect([types(), log.splice(0)]).toEqual([
    ['started', 'error', 'stopped'],
    ['{"id":1,"result":', 'left'],
  ])
  own.send(watch('is over at once'))
  await expect.poll(() => own.answers.length).toBe(2)
  expect([types(), log.splice(0)]).toEqual([
    ['started', 'stopped'],
    ['{"id":1,"result":', 'left'],
  ])
})

test('every procedure of the relay is called the short way: the pinned tRPC is as it was read', () => {
  const own = new Procedures(appRouter)
  const all = Object.entries<unknown>(appRouter._def.procedures)
  expect(all.length).toBeGreaterThan(20)
  for (const [path, procedure] of all) {
    const method: unknown = Reflect.get(Object(Reflect.get(Object(procedure), '_def')), 'type')
    if (method !== 'query' && method !== 'mutation' && method !== 'subscription') throw new Error(`${path} has no type`)
    expect(own.isDirect({ method, path }), path).toBe(true)
  }
})
