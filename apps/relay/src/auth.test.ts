import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLOSE_CODES, type Role } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appRouter } from './router/index.ts'
import { type Access, allows } from './router/trpc.ts'
import { closeOf, ROOT_TOKEN, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await TestRelay.start()
})
afterAll(() => relay[Symbol.asyncDispose]())

/** What each procedure is expected to ask for: a new one without a line here fails. */
const EXPECTED: Record<string, Access> = {
  'auth.whoami': 'client',
  'auth.exchange': 'public',
  'auth.createCode': 'client',
  'auth.logout': 'client',
  'orchestrators.list': 'viewer',
  'projects.list': 'viewer',
  'projects.get': 'viewer',
  'projects.create': 'operator',
  'projects.update': 'operator',
  'projects.secrets.list': 'viewer',
  'projects.secrets.set': 'operator',
  'projects.secrets.unset': 'operator',
  'projects.delete': 'operator',
  'sessions.list': 'viewer',
  'sessions.get': 'viewer',
  'sessions.create': 'operator',
  'sessions.terminate': 'operator',
  'sessions.fork': 'operator',
  'sessions.archives': 'viewer',
  'sessions.restore': 'operator',
  'sessions.export': 'operator',
  'sessions.pause': 'operator',
  'sessions.resume': 'operator',
  'sessions.restart': 'operator',
  'sessions.setLimits': 'operator',
  'sessions.stats': 'viewer',
  'sessions.egress': 'viewer',
  'sessions.exec': 'operator',
  'sessions.execInput': 'operator',
  'chat.watch': 'viewer',
  'chat.history': 'viewer',
  'chat.prompt': 'operator',
  'chat.cancel': 'operator',
  'chat.setOption': 'operator',
  'inbox.list': 'viewer',
  'inbox.answer': 'operator',
  'rules.list': 'viewer',
  'rules.revoke': 'operator',
  'agents.list': 'viewer',
  'agents.install': 'operator',
  'rootfs.info': 'viewer',
  'rootfs.build': 'admin',
  'commands.run': 'operator',
  'commands.get': 'viewer',
  'commands.list': 'viewer',
  'commands.cancel': 'operator',
  'events.watch': 'viewer',
  'terminal.watch': 'viewer',
  'terminal.write': 'operator',
  'terminal.resize': 'operator',
  'tokens.create': 'admin',
  'tokens.list': 'admin',
  'tokens.revoke': 'admin',
  'audit.list': 'admin',
  'orchestrator.register': 'orchestrator',
  'orchestrator.commands': 'orchestrator',
  'orchestrator.publish': 'orchestrator',
  'orchestrator.streams': 'orchestrator',
  'orchestrator.send': 'orchestrator',
}

interface Answer {
  error?: { message: string; data: { code: string } }
}

// At run time the record is flat, by path; its type is nested.
const flat = appRouter._def.procedures as unknown as Record<string, { _def: { type: string; meta: unknown } }>
const procedures = Object.entries(flat).map(([path, { _def }]) => ({
  path,
  type: _def.type,
  access: accessOf(_def.meta),
}))

function accessOf(meta: unknown): Access | undefined {
  return typeof meta === 'object' && meta !== null ? Reflect.get(meta, 'access') : undefined
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

describe('every procedure and every role (A-1, generated from the router)', () => {
  test('each procedure declares who may call it, and as expected', () => {
    expect(Object.fromEntries(procedures.map(({ path, access }) => [path, access]))).toEqual(EXPECTED)
  })

  const ROLES: Role[] = ['viewer', 'operator', 'admin', 'orchestrator']

  test.each(procedures)('$path', async (procedure) => {
    const isPublic = procedure.access === 'public'
    expect(await codeOf(procedure, undefined)).toBe(isPublic ? 'INVALID_INPUT' : 'UNAUTHORIZED')
    expect(await codeOf(procedure, 'aio_admin_000000000000_wrong')).toBe(isPublic ? 'INVALID_INPUT' : 'UNAUTHORIZED')
    for (const role of ROLES) {
      const { token, id } = await relay.token(role)
      const code = await codeOf(procedure, token)
      if (procedure.path === 'auth.logout') continue // it has revoked the token or been refused
      const may = allows([role], procedure.access ?? 'admin')
      if (may) expect([undefined, 'INVALID_INPUT', 'UNAUTHORIZED']).toContain(code)
      else expect(code).toBe('FORBIDDEN')
      await relay.relay.services.tokens.revoke(id)
      expect(await codeOf(procedure, token)).toBe(isPublic ? 'INVALID_INPUT' : 'UNAUTHORIZED')
    }
  })

  test('an orchestrator token calls no client procedure, and a client token none of an orchestrator', () => {
    for (const access of ['client', 'viewer', 'operator', 'admin'] as const)
      expect(allows(['orchestrator'], access)).toBe(false)
    expect(allows(['admin'], 'orchestrator')).toBe(false)
    expect(allows(['admin', 'orchestrator'], 'orchestrator')).toBe(true)
  })
})

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
