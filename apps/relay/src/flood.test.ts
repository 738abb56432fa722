import { CLOSE_CODES } from '@ai-orchestration/protocol'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { closeOf, ROOT_TOKEN, TestRelay } from './test-support/test-relay.ts'

/** Opens a WebSocket from an address of the loopback network; `undefined` when it is shed. */
function openFrom(relay: TestRelay, localAddress: string): Promise<WebSocket | undefined> {
  const socket = new WebSocket(relay.wsUrl, { localAddress })
  return new Promise((resolve) => {
    socket.once('open', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}

describe('sockets that only sit there (A-02, S-3)', () => {
  test('1,000 of them keep nobody out, get nothing, and are closed in time', async () => {
    await using relay = await TestRelay.start({ limits: { unauthenticatedStayMs: 200 } })
    const idle: WebSocket[] = []
    const closes: number[] = []
    const heard: string[] = []
    for (let n = 0; n < 1_000; n += 1) {
      const socket = await openFrom(relay, `127.0.1.${1 + (n % 60)}`)
      if (socket === undefined) continue
      idle.push(socket)
      socket.once('close', (code) => closes.push(code))
      socket.on('message', (data) => heard.push(String(data)))
    }
    expect(idle.length).toBeGreaterThanOrEqual(500)
    // From an address that has used up its own places, too: the token comes as the first frame, as a browser sends it.
    for (const localAddress of ['127.0.1.1', '127.0.0.1']) {
      await expect.poll(() => logIn(relay, localAddress), { timeout: 10_000 }).toContain('AUTH_TOKEN')
    }
    await expect.poll(() => closes.length, { timeout: 20_000 }).toBe(idle.length)
    expect(new Set(closes)).toContain(CLOSE_CODES.unauthorized)
    for (const text of heard) expect(text).toMatch(/"id":null.*UNAUTHORIZED/)
  })

  async function logIn(relay: TestRelay, localAddress: string): Promise<string> {
    const socket = await openFrom(relay, localAddress)
    if (socket === undefined) return 'shed'
    const answer = new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))))
    socket.send(JSON.stringify({ method: 'connectionParams', data: { token: ROOT_TOKEN } }))
    socket.send(JSON.stringify({ id: 1, method: 'query', params: { path: 'auth.whoami' } }))
    const text = await Promise.race([answer, closeOf(socket).then(({ code }) => `closed with ${code}`)])
    socket.terminate()
    return text
  }
})

describe('too many calls (S-2)', () => {
  test('get LIMIT with the time to wait, over both ways in, and another token goes on', async () => {
    const config = { callsPerSecond: { perToken: 5, perAddress: 50_000 } }
    await using relay = await TestRelay.start({ config })
    const { token } = await relay.token('operator')
    await using client = relay.client(token)
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => client.call.auth.whoami.query()))
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason)
    expect(refused.length).toBeGreaterThanOrEqual(15)
    expect(refused[0]).toMatchObject({ data: { code: 'LIMIT', details: { retryAfterMs: expect.any(Number) } } })
    const whoami = (bearer: string) =>
      fetch(`${relay.httpUrl}/trpc/auth.whoami`, { headers: { authorization: `Bearer ${bearer}` } })
    const statuses: number[] = []
    for (let n = 0; n < 12; n += 1) {
      const response = await whoami(token)
      statuses.push(response.status)
      if (response.status === 429) expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
    expect(statuses).toContain(429)
    expect((await whoami((await relay.token('operator')).token)).status).toBe(200)
  })

  test('guesses at 1,000 a second are limited, and the one who knows gets in meanwhile (A-11)', async () => {
    await using relay = await TestRelay.start()
    const codes = new Map<string, number>()
    const socket = await relay.socket()
    socket.on('message', (data) => {
      for (const answer of [JSON.parse(String(data))].flat()) {
        const code = answer.error?.data.code ?? 'ok'
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    })
    let id = 0
    const guesser = setInterval(() => {
      for (let n = 0; n < 10 && socket.readyState === WebSocket.OPEN; n += 1) {
        id += 1
        const params = { path: 'auth.exchange', input: { code: `guess-${id}` } }
        socket.send(JSON.stringify({ id, method: 'mutation', params }))
      }
    }, 10)
    await expect.poll(() => codes.get('LIMIT') ?? 0, { timeout: 10_000 }).toBeGreaterThan(100)
    for (let n = 0; n < 5; n += 1) {
      const response = await fetch(`${relay.httpUrl}/trpc/auth.exchange`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token: ROOT_TOKEN }),
      })
      expect(response.status).toBe(200)
    }
    clearInterval(guesser)
    expect(codes.get('ok')).toBeUndefined()
    expect(codes.get('UNAUTHORIZED')).toBe(10)
    socket.terminate()
  })
})
