import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EgressRecord, OrchestratorEvent } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Questions } from '../question/questions.ts'
import { Rules } from '../question/rules.ts'
import { Addresses } from './addresses.ts'
import { Dialer } from './dialer.ts'
import { createDoorServer } from './door-server.ts'
import { EgressLog, readEgressLog } from './egress-log.ts'
import { EgressPolicy, type EgressSettings } from './egress-policy.ts'
import { EgressProxy } from './egress-proxy.ts'
import { hostPatterns } from './egress-settings.ts'

const log = pino({ level: 'silent' })
const me = { name: 'me', tokenId: 't1' }
const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** An upstream that a session may reach, and one that it may not, both seeing what comes. */
let upstream: { port: number; seen: IncomingMessage[]; bodies: string[] }
let settings: EgressSettings
let names: Record<string, string[]>
let door: number
let dir: string
let questions: Questions
let rules: Rules
let logFile: string
let egressLog: EgressLog
let proxy: EgressProxy
const events: OrchestratorEvent[] = []

beforeEach(async () => {
  const seen: IncomingMessage[] = []
  const bodies: string[] = []
  const server = createServer(async (incoming, response) => {
    seen.push(incoming)
    bodies.push(await text(incoming))
    if (incoming.url === '/redirect') response.writeHead(302, { location: 'http://denied.example/' }).end()
    else response.end(`hello ${incoming.headers.host} ${incoming.url}`)
  })
  upstream = { port: await listen(server), seen, bodies }
  dir = await mkdtemp(join(tmpdir(), 'aio-egress-'))
  cleanUps.push(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  const projects = { list: () => [], paths: () => ({ dir }) }
  rules = await Rules.open({ projects, log })
  questions = new Questions({
    journal: { keepQuestion: async () => undefined },
    rules,
    log,
    orchestratorId: '01J00000000000000000000000',
    kept: [],
  })
  settings = { allow: hostPatterns([`ok.example:${upstream.port}`, '*.wild.example']), unknown: 'deny', holdMs: 10_000 }
  names = {
    'ok.example': ['127.0.0.1'],
    'local.wild.example': ['127.0.0.1'],
    'lan.wild.example': ['10.0.0.1', '192.168.1.1', 'fd00::1', '169.254.169.254'],
    'mapped.wild.example': ['::ffff:127.0.0.1'],
  }
  logFile = join(dir, 'egress.log')
  events.length = 0
  egressLog = new EgressLog({ path: logFile, sessionId: 'p_s', publish: (event) => events.push(event), log })
  cleanUps.push(() => egressLog.close())
  proxy = newProxy()
  door = await listen(createDoorServer({ gateway: undefined, egress: proxy }))
})

function newProxy(): EgressProxy {
  const addresses = new Addresses([`127.0.0.1:${upstream.port}`])
  const dialer = new Dialer({
    addresses,
    ownHosts: ['relay.example'],
    resolve: async (host) => names[host] ?? Promise.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' })),
  })
  const policy = new EgressPolicy({ sessionId: 'p_s', settings: async () => settings, questions, rules, addresses })
  const proxy = new EgressProxy({ policy, dialer, egressLog, log })
  cleanUps.push(() => proxy.close())
  return proxy
}

/** Sends bytes as they are and answers what came back until the door closed the connection or opened a tunnel, or a while has passed. */
async function raw(bytes: string, waitMs = 500): Promise<string> {
  const socket = connect(door, '127.0.0.1')
  let answer = ''
  const opened = Promise.withResolvers<void>()
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1')
    if (answer.startsWith('HTTP/1.1 200 Connection Established')) opened.resolve()
  })
  socket.on('error', () => undefined)
  socket.write(bytes)
  await Promise.race([once(socket, 'close'), opened.promise, sleep(waitMs)])
  socket.destroy()
  return answer
}
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)
const tunnelTo = (authority: string, host = authority) => raw(`CONNECT ${authority} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
const get = (url: string, host: string, more = '') =>
  raw(`GET ${url} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`)
const records = async (): Promise<EgressRecord[]> => {
  await egressLog.close()
  return await readEgressLog(logFile, 100)
}

describe('the egress proxy', () => {
  it('passes what a list names, writes it down, and sums it up in an event', async () => {
    const at = `ok.example:${upstream.port}`
    expect(await get(`http://${at}/a?b=c`, at)).toMatch(new RegExp(`^HTTP/1.1 200 [\\s\\S]*hello ${at} /a\\?b=c$`))
    const tunnel = connect(door, '127.0.0.1')
    tunnel.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`)
    const [opened] = (await once(tunnel, 'data')) as [Buffer]
    expect(opened.toString()).toMatch(/^HTTP\/1.1 200 /)
    tunnel.end('GET /through HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\r\n')
    expect(await text(tunnel)).toContain('hello inner /through')
    await vi.waitFor(async () =>
      expect(await records()).toMatchObject([
        { host: 'ok.example', port: upstream.port, method: 'GET', verdict: 'allowed', status: 200 },
        { host: 'ok.example', port: upstream.port, method: 'CONNECT', verdict: 'allowed' },
      ]),
    )
    expect((await records()).every(({ bytesUp, bytesDown }) => bytesUp > 40 && bytesDown > 40)).toBe(true)
    const hosts = events.flatMap((event) => (event.type === 'egress' ? event.hosts : []))
    expect(hosts.reduce((sum, { allowed }) => sum + allowed, 0)).toBe(2)
  })

  it.each([
    'denied.example:443',
    'ok.example:443',
    'ok.example:22',
    '127.0.0.1:80',
    '169.254.169.254:80',
    '[::1]:80',
    '[::ffff:127.0.0.1]:80',
    'localhost:80',
    'relay.example:443',
    'metadata.internal:80',
  ])('refuses a tunnel to %s', async (authority) => {
    expect(statusOf(await tunnelTo(authority))).toBe(403)
    expect(await records()).toMatchObject([{ verdict: 'denied', method: 'CONNECT' }])
  })

  it.each([
    ...[
      'ok.example',
      'ok.example:80@evil.example:80',
      'evil.example@ok.example:PORT',
      '2130706433:PORT',
      '0x7f.1:PORT',
    ],
    ...[
      '0177.0.0.1:PORT',
      '127.1:PORT',
      '[fe80::1%25lo]:PORT',
      'ok.example:0',
      'ok.example:PORT0000',
      '/',
      'http://ok.example:PORT/',
    ],
    ...['ok.example%2eevil:PORT', 'ok..example:PORT'],
  ])('refuses the tunnel %s as no plain host and port', async (given) => {
    const authority = given.replace('PORT', String(upstream.port))
    expect(statusOf(await tunnelTo(authority, 'ok.example'))).toBe(400)
    expect(upstream.seen).toEqual([])
  })

  it('spells a host one way before it decides, and reaches the same host by it', async () => {
    for (const host of ['OK.Example', 'ok.example.', 'oK.eXaMpLe.']) {
      const at = `${host}:${upstream.port}`
      expect(statusOf(await tunnelTo(at))).toBe(200)
    }
  })

  it.each([
    ['lan.wild.example', 'a name that leads to private addresses'],
    ['mapped.wild.example', 'a name that leads to an IPv4-mapped loopback address'],
    ['local.wild.example', 'a name that leads to loopback on a port that is no exception'],
  ])('refuses %s after resolution: %s', async (host) => {
    expect(statusOf(await tunnelTo(`${host}:443`))).toBe(403)
    expect(await records()).toMatchObject([{ verdict: 'denied', reason: expect.stringContaining('no session may') }])
  })

  it('refuses what the relay is at, whatever a list says', async () => {
    settings = { ...settings, allow: hostPatterns([`same.example:${upstream.port}`]) }
    names = { 'same.example': ['93.184.216.34'], 'relay.example': ['93.184.216.34'] }
    expect(await tunnelTo(`same.example:${upstream.port}`)).toContain('no session may')
  })

  it('resolves once and connects to what it has checked', async () => {
    let lookups = 0
    const answers = [['127.0.0.1'], ['10.0.0.1']]
    Object.defineProperty(names, 'ok.example', { get: () => answers[lookups++ % 2] })
    const at = `ok.example:${upstream.port}`
    expect(statusOf(await get(`http://${at}/`, at))).toBe(200)
    expect(lookups).toBe(1)
    expect(statusOf(await get(`http://${at}/`, at))).toBe(403)
  })

  it.each([
    ['another Host', 'GET http://AT/ HTTP/1.1\r\nHost: denied.example\r\n\r\n', 400],
    ['two Hosts', 'GET http://AT/ HTTP/1.1\r\nHost: AT\r\nHost: denied.example\r\n\r\n', 400],
    ['no Host', 'GET http://AT/ HTTP/1.1\r\n\r\n', 400],
    ['a user in the URL', 'GET http://u:p@AT/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['a host as the user', 'GET http://AT@denied.example/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['a backslash', 'GET http://denied.example\\@AT/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['https in the clear', 'GET https://AT/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['ftp', 'GET ftp://AT/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['TRACE', 'TRACE http://AT/ HTTP/1.1\r\nHost: AT\r\n\r\n', 400],
    ['an upgrade', 'GET http://AT/ HTTP/1.1\r\nHost: AT\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 400],
    [
      'both lengths',
      'POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two lengths', 'POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', 400],
    [
      'an unknown encoding',
      'POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'encodings in a row',
      'POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['a bare line feed', 'GET http://AT/ HTTP/1.1\nHost: AT\n\n', 400],
    ['a folded header', 'GET http://AT/ HTTP/1.1\r\nHost: AT\r\n denied.example\r\n\r\n', 400],
    ['a space before a colon', 'GET http://AT/ HTTP/1.1\r\nHost : AT\r\n\r\n', 400],
    ['a denied host', 'GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n\r\n', 403],
  ])('refuses a request with %s', async (_name, bytes, status) => {
    const answer = await raw(bytes.replaceAll('AT', `ok.example:${upstream.port}`))
    expect(statusOf(answer)).toBe(status)
    expect(upstream.seen).toEqual([])
  })

  it('decides on every request of a connection, also of a pipelined one', async () => {
    const at = `ok.example:${upstream.port}`
    const allowed = `GET http://${at}/1 HTTP/1.1\r\nHost: ${at}\r\n\r\n`
    const answer = await raw(`${allowed}GET http://denied.example/ HTTP/1.1\r\nHost: denied.example\r\n\r\n${allowed}`)
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '403'])
    expect(upstream.seen.map(({ headers }) => headers.host)).not.toContain('denied.example')
  })

  it('lets nothing of a body be read as another request, whatever the method', async () => {
    const at = `ok.example:${upstream.port}`
    const hidden = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n'
    const size = hidden.length.toString(16)
    for (const method of ['GET', 'DELETE', 'POST']) {
      const head = `${method} http://${at}/open HTTP/1.1\r\nHost: ${at}\r\nConnection: close\r\n`
      await raw(`${head}Transfer-Encoding: chunked\r\n\r\n${size}\r\n${hidden}\r\n0\r\n\r\n`)
      await raw(`${head}Content-Length: ${hidden.length}\r\n\r\n${hidden}`)
    }
    expect(upstream.seen.map(({ url }) => url)).toEqual(Array(6).fill('/open'))
    expect(upstream.bodies).toEqual(Array(6).fill(hidden))
  })

  it('drops headers of the connection and of the way, keeps the others, and hands a redirect back', async () => {
    const at = `ok.example:${upstream.port}`
    const answer = await get(
      `http://${at}/redirect`,
      at,
      'Proxy-Authorization: Basic x\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: x-secret\r\nX-Secret: 1\r\nX-Kept: 1\r\n',
    )
    expect([statusOf(answer), answer.includes('denied.example')]).toEqual([302, true])
    const headers = upstream.seen[0]?.headers ?? {}
    expect(headers).toMatchObject({ host: at, 'x-kept': '1' })
    for (const name of ['proxy-authorization', 'x-forwarded-for', 'x-secret']) expect(headers).not.toHaveProperty(name)
    expect(upstream.seen).toHaveLength(1)
  })

  it('gives up on one that sends its header lines one by one', async () => {
    const patience = { headersMs: 200 }
    const slow = connect(await listen(createDoorServer({ gateway: undefined, egress: proxy }, patience)), '127.0.0.1')
    slow.on('error', () => undefined)
    slow.write('GET http://ok.example/ HTTP/1.1\r\n')
    const drip = setInterval(() => slow.write('X-More: 1\r\n'), 20)
    cleanUps.push(() => clearInterval(drip))
    await once(slow.resume(), 'close')
    expect(upstream.seen).toEqual([])
  })

  it('serves so many at once and no more', async () => {
    const sockets = Array.from({ length: 130 }, () => {
      const socket = connect(door, '127.0.0.1').on('error', () => undefined)
      socket.write(`CONNECT slow.wild.example:443 HTTP/1.1\r\nHost: slow.wild.example:443\r\n\r\n`)
      return socket
    })
    Object.defineProperty(names, 'slow.wild.example', { get: () => new Promise(() => undefined) })
    const answers = await Promise.all(sockets.slice(-2).map((socket) => once(socket, 'data')))
    expect(String(answers[0])).toMatch(/^HTTP\/1.1 429 /)
    for (const socket of sockets) socket.destroy()
  })

  it('ends a tunnel with the session, and all of them with the door', async () => {
    const at = `ok.example:${upstream.port}`
    const open = async () => {
      const tunnel = connect(door, '127.0.0.1').on('error', () => undefined)
      tunnel.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`)
      await once(tunnel, 'data')
      return tunnel
    }
    const [left, kept] = [await open(), await open()]
    left.destroy()
    await vi.waitFor(async () => expect(await records()).toHaveLength(1))
    proxy.close()
    await once(kept, 'close')
    await vi.waitFor(async () => expect(await records()).toHaveLength(2))
  })
})

describe('an unknown host', () => {
  beforeEach(() => {
    settings = { allow: [], unknown: 'ask', holdMs: 10_000 }
    names['new.example'] = ['127.0.0.1']
  })
  const at = () => `new.example:${upstream.port}`
  const ask = () => get(`http://${at()}/held`, at())
  const pending = () => questions.list().filter(({ state }) => state === 'pending')
  const asked = async () => {
    await vi.waitFor(() => expect(pending()).toHaveLength(1))
    return pending()[0]?.id ?? ''
  }
  const patient = (bytes: string) => raw(bytes, 8_000)
  const held = () => patient(`GET http://${at()}/held HTTP/1.1\r\nHost: ${at()}\r\nConnection: close\r\n\r\n`)

  it('waits for a person, for all who want the same, and passes once', async () => {
    const waiting = vi.spyOn(questions, 'settled')
    const both = [held(), patient(`CONNECT ${at()} HTTP/1.1\r\nHost: ${at()}\r\n\r\n`)]
    const questionId = await asked()
    await vi.waitFor(() => expect(waiting).toHaveBeenCalledTimes(2))
    expect(questions.get(questionId)).toMatchObject({ detail: { host: 'new.example', port: upstream.port } })
    await questions.answer({ questionId, optionId: 'once' }, me)
    expect((await Promise.all(both)).map(statusOf)).toEqual([200, 200])
    const again = ask()
    expect(await asked()).not.toBe(questionId)
    expect(statusOf(await again)).toBe(0)
  })

  it.each([
    ['session', 'allow'],
    ['project', 'allow'],
    ['deny-session', 'deny'],
  ])('is decided for good with %s, until that is revoked', async (optionId, verdict) => {
    const first = held()
    await questions.answer({ questionId: await asked(), optionId }, me)
    expect(statusOf(await first)).toBe(verdict === 'allow' ? 200 : 403)
    expect(statusOf(await ask())).toBe(verdict === 'allow' ? 200 : 403)
    const [rule] = rules.list()
    expect(rule).toMatchObject({ verdict, match: { host: 'new.example' }, by: me })
    await rules.revoke('p', rule?.id ?? '')
    const after = ask()
    await asked()
    await after
  })

  it('is refused with what the person said, with a clear answer when nobody does, and can be answered late', async () => {
    const first = held()
    await questions.answer({ questionId: await asked(), optionId: 'deny', text: 'use the mirror' }, me)
    expect(await first).toMatch(/^HTTP\/1.1 403 [\s\S]*me has denied new.example:\d+ to this session: use the mirror/)
    settings = { ...settings, holdMs: 100 }
    expect(await held()).toMatch(/^HTTP\/1.1 403 [\s\S]*nobody has answered[\s\S]*aio approve/)
    const questionId = await asked()
    await questions.answer({ questionId, optionId: 'once' }, me)
    expect(statusOf(await held())).toBe(200)
    expect(await held()).toContain('nobody has answered')
  })

  it('is given up when the session hangs up, and the question waits on', async () => {
    const socket = connect(door, '127.0.0.1')
    socket.write(`CONNECT ${at()} HTTP/1.1\r\nHost: ${at()}\r\n\r\n`)
    await asked()
    socket.destroy()
    await vi.waitFor(async () => expect(await records()).toMatchObject([{ verdict: 'failed' }]))
    expect(pending()).toHaveLength(1)
    expect(upstream.seen).toEqual([])
  })

  it('is not asked about when it could never be reached', async () => {
    for (const authority of ['192.168.0.1:443', 'localhost:80', 'printer:80', 'nas.local:80', 'vault.internal:443'])
      expect(statusOf(await tunnelTo(authority))).toBe(403)
    expect(questions.list()).toEqual([])
  })

  it('is refused at once when too many questions wait, whatever the agent tries', async () => {
    const open = Array.from({ length: 51 }, (_, index) => {
      const host = `n${index}.example:443`
      return raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 1_500)
    })
    expect((await Promise.all(open)).filter((answer) => statusOf(answer) === 403)).toHaveLength(1)
  })
})

it('keeps a log of bounded size', async () => {
  const record: EgressRecord = {
    ...{ at: '2026-01-01T00:00:00.000Z', host: 'x'.repeat(200), port: 443, method: 'CONNECT', verdict: 'denied' },
    ...{ bytesUp: 0, bytesDown: 0, ms: 1 },
  }
  for (let round = 0; round < 9; round++) {
    for (let index = 0; index < 1_000; index++) egressLog.add({ ...record, ms: round * 1_000 + index })
    await egressLog.close()
  }
  const all = await readEgressLog(logFile, 1_000_000)
  expect(all.length).toBeGreaterThan(3_000)
  expect(all.length).toBeLessThan(9_000)
  expect((await readEgressLog(logFile, 2)).map(({ ms }) => ms)).toEqual([8_998, 8_999])
})
