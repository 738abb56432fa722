import { once } from 'node:events'
import { initTRPC } from '@trpc/server'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { appRouter } from '../router/index.ts'
import { DirectCalls } from './direct-calls.ts'
import { readFrame } from './frame.ts'

const t = initTRPC
  .context<{ who: string; trail?: string[] }>()
  .meta<{ name: string }>()
  .create({
    isDev: false,
    errorFormatter: ({ shape, error, path, input }) => ({ ...shape, data: { code: error.code, path, input } }),
  })
const base = t.procedure.meta({ name: 'base' }).use(async ({ ctx, meta, path, type, getRawInput, next }) => {
  const result = await next({
    ctx: { ...ctx, trail: [meta?.name ?? '', path, type, JSON.stringify(await getRawInput())] },
  })
  if (!result.ok && result.error.message === 'change me') throw new Error('changed')
  return result
})
const input = z.object({ n: z.number().default(7) })
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
    unencodable: base.query(() => 1n),
    endless: t.procedure.subscription(async function* () {
      yield 1
    }),
  }),
})

let server: WebSocketServer
let stock: WebSocket
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  applyWSSHandler({ wss: server, router, createContext: () => ({ who: 'me' }) })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  stock = new WebSocket(`ws://127.0.0.1:${address.port}`)
  await once(stock, 'open')
})
afterAll(() => {
  stock.terminate()
  server.close()
})

const direct = new DirectCalls(router)

test.each([
  { id: 1, method: 'query', params: { path: 'inner.query', input: { n: 3 } } },
  { id: 'two', method: 'query', jsonrpc: '2.0', params: { path: 'inner.query', input: {} } },
  { id: 3, method: 'query', params: { path: 'inner.query' } },
  { id: 4, method: 'mutation', params: { path: 'inner.twice', input: { n: 1, s: 'x' } } },
  { id: 5, method: 'mutation', params: { path: 'inner.twice', input: { n: 'no' } } },
  { id: 6, method: 'query', params: { path: 'inner.replaced', input: 1 } },
  { id: 7, method: 'mutation', params: { path: 'inner.nothing' } },
  { id: 8, method: 'mutation', jsonrpc: '2.0', params: { path: 'inner.throws' } },
  { id: 9, method: 'query', params: { path: 'inner.changes' } },
])('the answer to $method $params.path with $params.input is the stock adapter’s', async (message) => {
  const text = JSON.stringify(message)
  stock.send(text)
  const [expected] = await once(stock, 'message')
  const frame = readFrame(text, 1)
  const call = frame.type === 'calls' ? frame.calls[0] : undefined
  if (call === undefined) throw new Error('not a call')
  expect(direct.takes(call)).toBe(true)
  const { text: answer } = await direct.run(call, { who: 'me' })
  expect(JSON.parse(answer)).toEqual(JSON.parse(String(expected)))
})

test('an answer that cannot be encoded is an error, not silence', async () => {
  const frame = readFrame('{"id":1,"method":"query","params":{"path":"inner.unencodable"}}', 1)
  const call = frame.type === 'calls' ? frame.calls[0] : undefined
  if (call === undefined) throw new Error('not a call')
  const { text } = await direct.run(call, { who: 'me' })
  expect(JSON.parse(text)).toMatchObject({ id: 1, error: { data: { code: 'INTERNAL_SERVER_ERROR' } } })
})

test.each([
  ['subscription', 'inner.endless'],
  ['query', 'inner.endless'],
  ['mutation', 'inner.query'],
  ['query', 'inner'],
  ['query', '__proto__'],
  ['query', 'constructor.prototype'],
])('%s %s is left to the stock adapter', (method, path) => {
  const frame = readFrame(JSON.stringify({ id: 1, method, params: { path } }), 1)
  expect(frame.type === 'calls' && frame.calls.map((call) => direct.takes(call))).toEqual([false])
})

test('every query and mutation of the relay is run directly: the pinned tRPC is as it was read', () => {
  const ours = new DirectCalls(appRouter)
  const procedures = Object.entries<unknown>(appRouter._def.procedures)
  expect(procedures.length).toBeGreaterThan(20)
  for (const [path, procedure] of procedures) {
    const method: unknown = Reflect.get(Object(Reflect.get(Object(procedure), '_def')), 'type')
    if (method === 'subscription') continue
    const frame = readFrame(JSON.stringify({ id: 1, method, params: { path } }), 1)
    expect(frame.type === 'calls' && frame.calls.map((call) => ours.takes(call)), path).toEqual([true])
  }
})
