import { connect } from 'node:net'
import { CLOSE_CODES } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeOf, ROOT_TOKEN, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await TestRelay.start({ limits: { authDeadlineMs: 300, headersTimeoutMs: 300, httpCheckIntervalMs: 100 } })
})
afterAll(() => relay[Symbol.asyncDispose]())

/** Sends bytes as they are and answers what came back until the relay closed the connection. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(relay.port, '127.0.0.1', () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

function upgrade(target: string, headers: Record<string, string> = {}): string {
  const all = {
    Host: `localhost:${relay.port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`
}

describe('what the edge turns away (S-2, S-3, A-5)', () => {
  test.each(['//[', '//evil/ws', 'http://[', '/\\ws', '*'])(
    'a malformed target %s gets 400 and the relay lives',
    async (target) => {
      expect(await raw(upgrade(target))).toMatch(/^HTTP\/1.1 400 /)
      expect((await fetch(`${relay.httpUrl}/health`)).status).toBe(200)
    },
  )

  test.each([
    ['[', 400],
    ['', 400],
    ['a b', 400],
    ['user@localhost', 400],
    ['evil.example.org', 403],
    ['localhost.evil.example.org', 403],
    ['169.254.169.254', 403],
  ])('Host %j gets %i', async (host, status) => {
    expect(await raw(upgrade('/ws', { Host: host }))).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  test('a plain request with a rebound Host gets nothing of the web app or the API', async () => {
    const answer = await raw('GET /trpc/auth.whoami HTTP/1.1\r\nHost: evil.example.org\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1.1 403 /)
  })

  test.each([
    'null',
    'http://evil.example.org',
    'https://aio.example.org.evil.org',
    'http://localhost:1',
    'https://aio.example.org/',
  ])('Origin %s is refused, at the upgrade and over HTTP', async (origin) => {
    expect(await raw(upgrade('/ws', { Origin: origin }))).toMatch(/^HTTP\/1.1 403 /)
    const answer = await fetch(`${relay.httpUrl}/trpc/auth.whoami`, {
      headers: { origin, authorization: `Bearer ${ROOT_TOKEN}` },
    })
    expect(answer.status).toBe(403)
  })

  test('the own origin and those of ALLOWED_ORIGINS are let in', async () => {
    for (const origin of [
      `http://localhost:${relay.port}`,
      `http://127.0.0.1:${relay.port}`,
      'https://aio.example.org',
    ]) {
      const socket = await relay.socket({ token: ROOT_TOKEN, headers: { origin } })
      socket.close()
    }
  })

  test('only /ws is a WebSocket', async () => {
    expect(await raw(upgrade('/'))).toMatch(/^HTTP\/1.1 404 /)
    expect(await raw(upgrade('/ws/../x'))).toMatch(/^HTTP\/1.1 404 /)
  })

  test('a silent TCP connection is closed in time', async () => {
    expect(await raw('GET /ws HTTP/1.1\r\nHost: loc')).toMatch(/^HTTP\/1.1 400 |^$/)
  })

  test('a silent WebSocket is closed in time with 4401', async () => {
    const socket = await relay.socket({ path: '/ws?connectionParams=1' })
    expect(await closeOf(socket)).toMatchObject({
      code: CLOSE_CODES.unauthorized,
      reason: expect.stringMatching(/^UNAUTHORIZED/),
    })
  })

  test('a socket that sends only PING is closed all the same', async () => {
    const socket = await relay.socket()
    const timer = setInterval(() => socket.send('PING'), 50)
    expect(await closeOf(socket)).toMatchObject({ code: CLOSE_CODES.unauthorized })
    clearInterval(timer)
  })
})

describe('what one frame may hold (S-2)', () => {
  const call = (id: number) => ({ id, method: 'query', params: { path: 'auth.whoami' } })

  test.each([
    ['3,000 calls', JSON.stringify(Array.from({ length: 3_000 }, (_, id) => call(id))), 4400],
    ['no JSON', '{"id":', 4400],
    ['no call', '{"id":1,"method":"nothing"}', 4400],
    ['an id that is no id', '{"id":{},"method":"query","params":{"path":"auth.whoami"}}', 4400],
    ['connectionParams a second time', '{"method":"connectionParams","data":{"token":"x"}}', 4400],
    ['300 KiB', JSON.stringify({ ...call(1), pad: 'x'.repeat(300 * 1024) }), 1009],
  ])('%s closes the socket', async (_, frame, code) => {
    const socket = await relay.socket({ token: ROOT_TOKEN })
    socket.send(JSON.stringify(call(999)))
    socket.send(frame)
    expect(await closeOf(socket)).toMatchObject({ code })
  })

  test('a binary frame closes the socket', async () => {
    const socket = await relay.socket({ token: ROOT_TOKEN })
    socket.send(Buffer.from('{}'), { binary: true })
    expect(await closeOf(socket)).toMatchObject({ code: 4400 })
  })

  test('a large frame before a token closes the socket', async () => {
    const socket = await relay.socket()
    socket.send(JSON.stringify({ ...call(1), pad: 'x'.repeat(20 * 1024) }))
    expect(await closeOf(socket)).toMatchObject({ code: 4400 })
  })

  test('of 33 calls in one frame 32 are answered and the last gets a typed LIMIT', async () => {
    const socket = await relay.socket({ token: ROOT_TOKEN })
    const answers = new Map<number, string | undefined>()
    const done = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        const message: { id: number; error?: { data: { code: string } } } = JSON.parse(data.toString())
        answers.set(message.id, message.error?.data.code)
        if (answers.size === 33) resolve()
      })
    })
    socket.send(JSON.stringify(Array.from({ length: 33 }, (_, id) => call(id))))
    await done
    expect([...answers].filter(([, code]) => code !== undefined)).toEqual([[32, 'LIMIT']])
    socket.close()
  })

  test('an orchestrator may send 1 MiB, and only with a token that is one', async () => {
    const big = JSON.stringify({ ...call(1), pad: 'x'.repeat(600 * 1024) })
    const { token: viewer } = await relay.token('viewer')
    const headers = { 'x-aio-role': 'orchestrator' }
    const no = await relay.socket({ token: viewer, headers })
    no.send(big)
    expect(await closeOf(no)).toMatchObject({ code: 1009 })
    const yes = await relay.socket({ token: ROOT_TOKEN, headers })
    const answered = new Promise((resolve) => yes.once('message', resolve))
    yes.send(big)
    await answered
    yes.close()
  })

  test('the 65th subscription gets a typed LIMIT and the others go on', async () => {
    const socket = await relay.socket({ token: ROOT_TOKEN })
    const errors: unknown[] = []
    let started = 0
    const done = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        const message: { error?: { data: unknown }; result?: { type: string } } = JSON.parse(data.toString())
        if (message.error !== undefined) errors.push(message.error.data)
        if (message.result?.type === 'started') started += 1
        if (errors.length === 1 && started === 64) resolve()
      })
    })
    for (let id = 0; id < 65; id += 1)
      socket.send(JSON.stringify({ id, method: 'subscription', params: { path: 'events.watch' } }))
    await done
    expect(errors).toMatchObject([{ code: 'LIMIT' }])
    // One that ends makes room for another.
    const again = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        const message: { id: number; result?: { type: string } } = JSON.parse(data.toString())
        if (message.id === 100 && message.result?.type === 'started') resolve()
      })
    })
    socket.once('message', () =>
      socket.send(JSON.stringify({ id: 100, method: 'subscription', params: { path: 'events.watch' } })),
    )
    socket.send(JSON.stringify({ id: 0, method: 'subscription.stop' }))
    await again
    socket.close()
  })
})

describe('sockets without a token (S-3)', () => {
  test('the 21st of an address gets 503 with Retry-After, and there is room again later', async () => {
    await using own = await TestRelay.start({ limits: { authDeadlineMs: 60_000, unauthenticatedStayMs: 60_000 } })
    const sockets = await Promise.all(Array.from({ length: 20 }, () => own.socket()))
    const refused = await fetchUpgrade(own)
    expect(refused).toMatch(/^HTTP\/1.1 503 [\s\S]*Retry-After: \d/)
    const withToken = await own.socket({ token: ROOT_TOKEN })
    withToken.close()
    for (const socket of sockets) {
      const closed = closeOf(socket)
      socket.terminate()
      await closed
    }
    await expect.poll(async () => (await own.socket()).readyState).toBe(1)
  })

  function fetchUpgrade(own: TestRelay): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(own.port, '127.0.0.1', () => socket.write(upgrade('/ws')))
      socket.on('data', (chunk) => resolve(chunk.toString()))
    })
  }

  test('a dead peer is cut (S-4)', async () => {
    await using own = await TestRelay.start({ limits: { pingIntervalMs: 100, pongDeadlineMs: 100 } })
    const socket = await own.socket({ token: ROOT_TOKEN })
    socket.pong = () => undefined // answers no ping any more
    expect(await closeOf(socket)).toMatchObject({ code: 1006 })
  })

  test('a peer that asks and does not read is closed at the hard limit (S-1)', async () => {
    await using own = await TestRelay.start({ limits: { bufferSoftBytes: 32 * 1024, bufferHardBytes: 64 * 1024 } })
    const socket = await own.socket({ token: ROOT_TOKEN })
    socket.pause()
    const path = 'x'.repeat(150)
    const sender = setInterval(() => {
      const calls = Array.from({ length: 30 }, (_, id) => ({ id, method: 'query', params: { path } }))
      if (socket.readyState === 1) for (let i = 0; i < 50; i += 1) socket.send(JSON.stringify(calls))
    }, 20)
    const health = async () => (await fetch(`${own.httpUrl}/health`)).json()
    await expect.poll(health, { timeout: 20_000 }).toMatchObject({ clients: 0 })
    clearInterval(sender)
    socket.terminate()
  })
})
