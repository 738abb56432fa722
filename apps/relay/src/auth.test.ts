import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLOSE_CODES, type Role } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeOf, ROOT_TOKEN, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await TestRelay.start()
})
afterAll(() => relay[Symbol.asyncDispose]())

interface Answer {
  error?: { message: string; data: { code: string } }
}

async function codeOf(
  { path, type }: { path: string; type: string },
  token: string | undefined,
): Promise<string | undefined> {
  const socket = await relay.socket(token === undefined ? {} : { token })
  const answer = new Promise<Answer>((resolve) => {
    socket.on('message', (data) => {
      const message: Answer & { id: number | null } = JSON.parse(data.toString())
      if (message.id === 1) resolve(message)
    })
  })
  socket.send(JSON.stringify({ id: 1, method: type, params: { path, input: { notAField: true } } }))
  const { error } = await answer
  socket.terminate()
  expect(JSON.stringify(error ?? {})).not.toMatch(/at .*\.ts|stack/)
  return error?.data.code
}

describe('a token that does not hold', () => {
  test('is told so call by call and closed with 4401, and a stock client does not hammer the relay', async () => {
    await using client = relay.client('aio_viewer_000000000000_nope')
    await expect(client.call.auth.whoami.query()).rejects.toMatchObject({ data: { code: 'UNAUTHORIZED' } })
    await expect.poll(() => client.closes).toContain(CLOSE_CODES.unauthorized)
    const before = client.opens()
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(client.opens() - before).toBeLessThan(8)
  })

  test('expires on a live socket', async () => {
    const { token } = await relay.token('viewer', 700)
    const socket = await relay.socket({ token })
    expect(await closeOf(socket)).toMatchObject({ code: CLOSE_CODES.revoked })
  })

  test('closes its live sockets at once when revoked, and no event comes after (A-3)', async () => {
    const { token, id } = await relay.token('viewer')
    const socket = await relay.socket({ token })
    const messages: string[] = []
    socket.on('message', (data) => messages.push(data.toString()))
    socket.send(JSON.stringify({ id: 1, method: 'subscription', params: { path: 'events.watch' } }))
    await expect.poll(() => messages.length).toBe(1)
    const closed = closeOf(socket)
    await using admin = relay.client()
    await admin.call.tokens.revoke.mutate({ tokenId: id })
    expect((await closed).code).toBe(CLOSE_CODES.revoked)
    expect(messages).toHaveLength(1)
  })
})

describe('logging in', () => {
  test('a code works once, also when two race for it, and gives at most the role of who made it', async () => {
    await using admin = relay.client()
    const { code } = await admin.call.auth.createCode.mutate({ role: 'operator' })
    const both = await Promise.allSettled([exchange({ code }), exchange({ code })])
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const { token: viewer } = await relay.token('viewer')
    await using weak = relay.client(viewer)
    await expect(weak.call.auth.createCode.mutate({ role: 'admin' })).rejects.toMatchObject({
      data: { code: 'FORBIDDEN' },
    })
  })

  test('AUTH_TOKEN becomes a device token that can be logged out by itself', async () => {
    const { token, roles } = await exchange({ token: ROOT_TOKEN, deviceName: 'phone' })
    expect(roles).toEqual(['admin'])
    await using device = relay.client(token)
    expect(await device.call.auth.whoami.query()).toMatchObject({ name: 'phone', roles: ['admin'] })
    expect(await device.call.auth.logout.mutate()).toEqual({})
    await expect.poll(() => device.closes).toContain(CLOSE_CODES.revoked)
    await expect(exchange({ token })).rejects.toThrow(/revoked/)
  })

  test('who logs out is answered before the connection closes, however often tokens are looked at meanwhile', async () => {
    await using own = await TestRelay.start({ limits: { recheckIntervalMs: 1 } })
    for (let n = 0; n < 5; n += 1) {
      const { token } = await own.token('viewer')
      await using device = own.client(token)
      expect(await device.call.auth.logout.mutate()).toEqual({})
      await expect.poll(() => device.closes).toContain(CLOSE_CODES.revoked)
    }
  })

  test('an orchestrator token cannot log in', async () => {
    const { token } = await relay.token('orchestrator')
    await expect(exchange({ token })).rejects.toThrow(/orchestrator/)
  })

  test('wrong codes are limited, and a right one passes even then (A-11)', async () => {
    await using own = await TestRelay.start()
    const codes = new Set<string>()
    for (let attempt = 0; attempt < 15; attempt += 1)
      await exchange({ code: 'wrong' }, own).catch((error: unknown) => codes.add(String(error)))
    expect([...codes].join()).toMatch(/Too many failed logins/)
    await expect(exchange({ token: ROOT_TOKEN }, own)).resolves.toMatchObject({ roles: ['admin'] })
  })

  async function exchange(credential: object, to = relay): Promise<{ token: string; roles: Role[] }> {
    const response = await fetch(`${to.httpUrl}/trpc/auth.exchange`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(credential),
    })
    const body: Answer & { result?: { data: { token: string; roles: Role[] } } } = JSON.parse(await response.text())
    if (body.result === undefined) throw new Error(body.error?.message)
    return body.result.data
  }
})

describe('tokens on disk', () => {
  test('survive a restart, with their revocations; the file is private and holds no secret', async () => {
    const home = await mkdtemp(join(tmpdir(), 'aio-relay-test-'))
    const first = await TestRelay.start({ home })
    const kept = await first.token('operator')
    const revoked = await first.token('viewer')
    await first.relay.services.tokens.revoke(revoked.id)
    await first.relay.close()
    const path = join(home, 'relay/relay.db')
    const text = await readFile(path, 'latin1')
    expect(text).toContain(kept.id)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(text).not.toContain(kept.token.split('_')[3])
    await using second = await TestRelay.start({ home })
    await using client = second.client(kept.token)
    expect(await client.call.auth.whoami.query()).toMatchObject({ tokenId: kept.id })
    await using dead = second.client(revoked.token)
    await expect(dead.call.auth.whoami.query()).rejects.toMatchObject({ data: { code: 'UNAUTHORIZED' } })
    await rm(home, { recursive: true })
  })
})

describe('calls that make no sense', () => {
  test.each(['nothing', '__proto__', 'constructor.prototype', 'auth', 'auth.whoami.x', 'toString', 'x'.repeat(10_000)])(
    'procedure %.20s is UNKNOWN_COMMAND without a stack',
    async (path) => {
      expect(await codeOf({ path, type: 'query' }, ROOT_TOKEN)).toBe('UNKNOWN_COMMAND')
    },
  )

  test('prototype keys in inputs change nothing', async () => {
    const socket = await relay.socket({ token: ROOT_TOKEN })
    const answer = new Promise<Answer>((resolve) => {
      socket.on('message', (data) => resolve(JSON.parse(data.toString())))
    })
    const input = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'
    socket.send(`{"id":1,"method":"query","params":{"path":"projects.list","input":${input}}}`)
    expect((await answer).error?.data.code).toBe('INVALID_INPUT')
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
    socket.terminate()
  })
})
