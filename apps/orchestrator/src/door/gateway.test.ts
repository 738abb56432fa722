import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createGateway } from './gateway.ts'

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

/** A gateway and the API behind it. */
async function setUp(
  credential: { apiKey?: string; oauthToken?: string } = { apiKey: 'real-key' },
  answer: (response: ServerResponse) => void = (response) => response.end('{}'),
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
  const port = await listen(createGateway('anthropic', config, log))
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
    const port = await listen(createGateway('anthropic', config, pino({ level: 'silent' })))
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
})
