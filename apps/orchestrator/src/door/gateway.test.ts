import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type Logger, pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createDoorServer } from './door-server.ts'
import { Gateway, type GatewayHooks } from './gateway.ts'
import type { TurnUsage } from './turn-usage.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

interface Seen {
  request: IncomingMessage
  body: string
}

const LET_THROUGH: GatewayHooks = { admit: async () => ({ isAllowed: true }), onUsage: () => undefined }

function createGateway(
  config: ConstructorParameters<typeof Gateway>[1]['config'],
  log: Logger,
  hooks = LET_THROUGH,
): Server {
  return createDoorServer({ gateway: new Gateway('anthropic', { config, hooks, log }), egress: undefined })
}

/** A gateway and the API behind it. */
async function setUp(
  credential: { apiKey?: string; oauthToken?: string } = { apiKey: 'real-key' },
  answer: (response: ServerResponse) => void = (response) => response.end('{}'),
  hooks: GatewayHooks = LET_THROUGH,
) {
  const seen: Seen[] = []
  const upstream = await listen(
    createServer(async (incoming, response) => {
      seen.push({ request: incoming, body: await text(incoming).catch(() => '') })
      answer(response)
    }),
  )
  const lines: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) })
  const config = {
    apiKey: undefined,
    oauthToken: undefined,
    ...credential,
    upstream: `http://127.0.0.1:${upstream}/base`,
  }
  const port = await listen(createGateway(config, log, hooks))
  const call = async (
    path: string,
    options: { method?: string; headers?: Record<string, string>; body?: string } = {},
  ) => {
    const { method = 'POST', headers = {}, body = '{}' } = options
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers })
    outgoing.end(method === 'GET' ? undefined : body)
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    return { response, status: response.statusCode, body: await text(response) }
  }
  return { seen, port, call, lines }
}

describe('the model gateway', () => {
  it('passes a call on with the real key in place of the placeholder, and logs neither', async () => {
    const { seen, call, lines } = await setUp()
    const headers = {
      ...{ 'x-api-key': 'placeholder', authorization: 'Bearer placeholder', 'anthropic-version': '2023-06-01' },
      ...{ cookie: 'a=b', connection: 'keep-alive, x-secret', 'x-secret': '1', 'content-type': 'application/json' },
    }
    const { status } = await call('/v1/messages?beta=true', { headers, body: '{"a":1}' })
    expect(status).toBe(200)
    expect(seen[0]?.request).toMatchObject({ method: 'POST', url: '/base/v1/messages?beta=true' })
    expect(seen[0]?.request.headers).toMatchObject({ 'x-api-key': 'real-key', 'anthropic-version': '2023-06-01' })
    expect(seen[0]?.body).toBe('{"a":1}')
    for (const name of ['authorization', 'cookie', 'x-secret'])
      expect(seen[0]?.request.headers).not.toHaveProperty(name)
    expect(lines.join('')).toContain('/v1/messages')
    expect(lines.join('')).not.toMatch(/real-key|placeholder/)
  })

  it('presents an OAuth token with the beta it needs, beside those of the caller', async () => {
    const { seen, call } = await setUp({ oauthToken: 'real-token' })
    await call('/v1/messages', { headers: { 'x-api-key': 'placeholder', 'anthropic-beta': 'one, two' } })
    expect(seen[0]?.request.headers).toMatchObject({
      authorization: 'Bearer real-token',
      'anthropic-beta': 'oauth-2025-04-20,one,two',
    })
    expect(seen[0]?.request.headers).not.toHaveProperty('x-api-key')
  })

  it('streams an answer piece by piece', async () => {
    let next: (() => void) | undefined
    const { port } = await setUp(undefined, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('first')
      next = () => response.end('second')
    })
    const outgoing = request({ host: '127.0.0.1', port, path: '/v1/messages', method: 'POST' }).end('{}')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    const [first] = (await once(response, 'data')) as [Buffer]
    expect(first.toString()).toBe('first')
    next?.()
    const [second] = (await once(response, 'data')) as [Buffer]
    expect(second.toString()).toBe('second')
  })

  it('refuses everything but the model API, also in disguise', async () => {
    const { seen, call } = await setUp()
    const refused = [
      '/',
      '/v1/files',
      '/v1/organizations/api_keys',
      '/v1/messages/../files',
      '/v1/messages/%2e%2e/files',
    ]
    for (const path of [
      ...refused,
      '/v1/messagesx',
      '//other.example/v1/messages',
      'http://other.example/v1/messages',
    ]) {
      const { status, body } = await call(path)
      expect([path, status]).toEqual([path, 403])
      expect(JSON.parse(body)).toMatchObject({ type: 'error', error: { type: 'permission_error' } })
    }
    expect((await call('/v1/messages', { method: 'DELETE' })).status).toBe(403)
    expect(seen).toEqual([])
  })

  it('refuses CONNECT and what is no HTTP with an answer', async () => {
    const { port } = await setUp()
    for (const [bytes, answer] of [
      ['CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n', 'HTTP/1.1 403'],
      ['\x16\x03\x01nonsense\r\n\r\n', 'HTTP/1.1 400'],
    ] as const) {
      const socket = connect(port, '127.0.0.1')
      socket.write(bytes)
      expect(await text(socket)).toContain(answer)
    }
  })

  it('explains a missing credential and an upstream that is not there', async () => {
    const without = await setUp({})
    const missing = await without.call('/v1/messages')
    expect([missing.status, missing.body]).toEqual([401, expect.stringContaining('ANTHROPIC_API_KEY')])
    expect(without.seen).toEqual([])

    const config = { apiKey: 'real-key', oauthToken: undefined, upstream: 'http://127.0.0.1:1' }
    const port = await listen(createGateway(config, pino({ level: 'silent' })))
    const outgoing = request({ host: '127.0.0.1', port, path: '/v1/messages', method: 'POST' }).end('{}')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(502)
    expect(JSON.parse(await text(response))).toMatchObject({ error: { type: 'api_error' } })
  })

  it('breaks off with the upstream instead of ending as if all were there', async () => {
    const { port } = await setUp(undefined, (response) => {
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    })
    const outgoing = request({ host: '127.0.0.1', port, path: '/v1/messages', method: 'POST' }).end('{}')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    await expect(text(response)).rejects.toThrow()
  })

  it('ends the call upstream when the session hangs up', async () => {
    const onClose = vi.fn()
    const { port, seen } = await setUp(undefined, (response) => {
      response.on('close', onClose)
      response.write('first')
    })
    const outgoing = request({ host: '127.0.0.1', port, path: '/v1/messages', method: 'POST' }).end('{}')
    outgoing.on('error', () => undefined)
    await vi.waitFor(() => expect(seen).toHaveLength(1))
    outgoing.destroy()
    await vi.waitFor(() => expect(onClose).toHaveBeenCalled())
  })

  it('lets one session have so many requests under way and no more', async () => {
    const { port, seen } = await setUp(undefined, () => undefined)
    const calls = Array.from({ length: 65 }, () => {
      const outgoing = request({ host: '127.0.0.1', port, path: '/v1/messages', method: 'POST', agent: false }).end(
        '{}',
      )
      outgoing.on('error', () => undefined)
      return outgoing
    })
    const [response] = (await Promise.race(calls.map((call) => once(call, 'response')))) as [IncomingMessage]
    expect(response.statusCode).toBe(429)
    expect(seen.length).toBeLessThanOrEqual(64)
    for (const call of calls) call.destroy()
  })

  it('counts what a streamed and a plain answer used, and holds no byte back for it', async () => {
    const turns: TurnUsage[] = []
    const hooks = { ...LET_THROUGH, onUsage: (turn: TurnUsage) => turns.push(turn) }
    const usage = { input_tokens: 10, cache_creation_input_tokens: 3, cache_read_input_tokens: 4, output_tokens: 1 }
    const start = { type: 'message_start', message: { type: 'message', model: 'claude-x', content: [], usage } }
    const delta = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 25 } }
    const events = [start, { type: 'content_block_delta', delta: { text: 'the word "usage"' } }, delta]
    const bytes = Buffer.from(
      events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
    )
    const streamed = await setUp(
      undefined,
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
        // In pieces that end anywhere.
        for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7))
        response.end()
      },
      hooks,
    )
    const answer = await streamed.call('/v1/messages', { headers: { 'accept-encoding': 'gzip' } })
    expect(answer.body).toBe(bytes.toString())
    expect(streamed.seen[0]?.request.headers['accept-encoding']).toBe('identity')
    const plain = await setUp(
      undefined,
      (response) => response.end(JSON.stringify({ type: 'message', model: 'claude-x', usage })),
      hooks,
    )
    await plain.call('/v1/messages')
    await plain.call('/v1/messages/count_tokens')
    const counted = { model: 'claude-x', inputTokens: 10, cacheReadTokens: 4, cacheWriteTokens: 3 }
    expect(turns).toEqual([
      { ...counted, outputTokens: 25 },
      { ...counted, outputTokens: 1 },
    ])
  })

  it('counts what an answer used that was broken off, and passes errors of the API on as they are', async () => {
    const turns: TurnUsage[] = []
    const hooks = { ...LET_THROUGH, onUsage: (turn: TurnUsage) => turns.push(turn) }
    const start = { type: 'message_start', message: { type: 'message', model: 'm', usage: { input_tokens: 7 } } }
    const broken = await setUp(
      undefined,
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(`data: ${JSON.stringify(start)}\n\n`)
        setTimeout(() => response.destroy(), 20)
      },
      hooks,
    )
    await expect(broken.call('/v1/messages')).rejects.toThrow()
    expect(turns).toMatchObject([{ inputTokens: 7 }])
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    const failing = await setUp(undefined, (response) =>
      response.writeHead(529, { 'retry-after': '3' }).end(JSON.stringify(error)),
    )
    const { status, body, response } = await failing.call('/v1/messages')
    expect([status, JSON.parse(body), response.headers['retry-after']]).toEqual([529, error, '3'])
  })

  it('holds a call of the model for as long as it is not admitted, and no other call', async () => {
    const admission = Promise.withResolvers<{ isAllowed: false; reason: string }>()
    const { call, seen } = await setUp(undefined, undefined, { ...LET_THROUGH, admit: () => admission.promise })
    const held = call('/v1/messages?beta=true')
    expect((await call('/v1/messages/count_tokens')).status).toBe(200)
    admission.resolve({ isAllowed: false, reason: 'The budget is used up.' })
    const { status, body } = await held
    expect([status, JSON.parse(body)]).toMatchObject([403, { error: { message: 'The budget is used up.' } }])
    expect(seen).toHaveLength(1)
  })
})
