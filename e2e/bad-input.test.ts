import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient, ERROR_STATUS, newCommandId } from '@ai-orchestration/sdk'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { frameOf, type RawFrame, RawWebSocket, textFrameOf } from './faults/raw-web-socket.ts'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

/** What the relay may hold more of after all this than before, in bytes: its caches, and what garbage collection leaves. */
const GROWTH_MAX_BYTES = 64 * 1024 * 1024
/** The same frames in every run; AIO_SEED picks others. */
const SEED = Number(process.env['AIO_SEED'] ?? 7)

let relay: RelayProcess
let machine: ScriptedOrchestrator
/** Somebody else, who must notice nothing. */
let bystander: Client
let relayPid: number
let watchedFor = 0
let stray: string
let rssBefore: number
const dispatched: unknown[] = []
const reconnects: string[] = []

// Writes what a polluted prototype would show, when asked by a signal.
const CONFESS = (path: string) =>
  `import { writeFileSync } from 'node:fs'; process.on('SIGUSR2', () => writeFileSync(${JSON.stringify(path)}, String(({}).polluted) + String(({}).isAdmin)))`

beforeAll(async () => {
  stray = await mkdtemp(join(tmpdir(), 'aio-bad-input-'))
  const confess = `data:text/javascript,${encodeURIComponent(CONFESS(join(stray, 'polluted')))}`
  relay = await startRelayProcess({ nodeArgs: ['--import', confess] })
  relayPid = relay.pid
  machine = new ScriptedOrchestrator(relay, {
    run: ({ input }) => {
      dispatched.push(input)
      return input ?? null
    },
  })
  await machine.ready()
  bystander = createClient({
    url: relay.wsUrl,
    token: relay.token,
  })
  void (async () => {
    for await (const _ of bystander.events()) watchedFor += 1
  })()
  await bystander.auth.whoami.query()
  bystander.onStatus(({ state }) => void reconnects.push(state))
  rssBefore = await rssOf(relayPid)
})
afterEach(async () => {
  // Whatever came before: the relay is the same process, and serves others.
  const seen = watchedFor
  const commandId = newCommandId()
  expect(await bystander.commands.run.mutate({ commandId, command: 'slow', input: {} })).toMatchObject({
    state: 'succeeded',
  })
  await until(() => watchedFor > seen)
  expect(reconnects).toEqual([])
})
afterAll(async () => {
  await bystander?.close()
  await machine?.[Symbol.asyncDispose]()
  await relay?.[Symbol.asyncDispose]()
  await rm(stray, { recursive: true, force: true })
})

async function rssOf(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]) * 4096
}

function open(headers: Record<string, string> = {}): Promise<RawWebSocket> {
  return RawWebSocket.open(relay.port, { Authorization: `Bearer ${relay.token}`, ...headers })
}

const call = (id: unknown, path = 'auth.whoami', input?: unknown, method = 'query') => ({
  ...{ id, method },
  params: { path, ...(input === undefined ? {} : { input }) },
})

interface Answer {
  id: unknown
  result?: { type: string; data?: unknown }
  error?: { message: string; data: { code: string; httpStatus: number; path?: string } }
}

/** Sends a frame, and behind it a call whose answer shows that it has been dealt with. @returns the answers before that, or how it was closed. */
async function send(
  text: string,
  socket?: RawWebSocket,
): Promise<{ answers: Answer[] } | { code: number | undefined }> {
  const own = socket ?? (await open())
  const last = `last-${newCommandId()}`
  const from = own.texts.length
  await own.send(textFrameOf(text))
  await own.send(textFrameOf(JSON.stringify(call(last))))
  if (!(await own.hears(last))) return { code: (await own.closed).code }
  const answers = own.texts.slice(from).filter((one) => !one.includes(last))
  if (socket === undefined) await own[Symbol.asyncDispose]()
  return { answers: answers.map((one): Answer => JSON.parse(one)) }
}

function expectTyped({ error }: Answer, sent: string): void {
  if (error === undefined) return
  expect(Object.keys(ERROR_STATUS), sent).toContain(error.data.code)
  expect(error.data.code, `${sent} → ${error.message}`).not.toBe('INTERNAL')
  expect(error.message, sent).not.toMatch(/\n\s+at /)
  expect(error.data).not.toHaveProperty('stack')
}

describe('frames that break the WebSocket protocol (B-03)', () => {
  const text = (value: string) => Buffer.from(value)
  const close = (...bytes: number[]): RawFrame => ({ opcode: 8, payload: Buffer.from(bytes) })
  test.each<[string, RawFrame[], number]>([
    ['an unmasked frame', [{ isMasked: false, payload: text('PING') }], 1002],
    ['the first reserved bit', [{ reserved: 0x40, payload: text('PING') }], 1002],
    ['the second reserved bit', [{ reserved: 0x20, payload: text('PING') }], 1002],
    ['the third reserved bit', [{ reserved: 0x10, payload: text('PING') }], 1002],
    ['a reserved opcode', [{ opcode: 3, payload: text('x') }], 1002],
    ['a reserved control opcode', [{ opcode: 11, payload: text('x') }], 1002],
    ['text that is no UTF-8', [{ payload: Buffer.from([0x22, 0xc3, 0x28, 0x22]) }], 1007],
    ['a surrogate in UTF-8', [{ payload: Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]) }], 1007],
    ['a ping that is too long', [{ opcode: 9, payload: Buffer.alloc(126) }], 1002],
    ['a ping in fragments', [{ opcode: 9, isFinal: false, payload: text('x') }], 1002],
    ['a continuation of nothing', [{ opcode: 0, payload: text('x') }], 1002],
    ['a message within a message', [{ isFinal: false, payload: text('[') }, { payload: text(']') }], 1002],
    ['101 MiB announced', [{ claims: 101n * 1024n * 1024n }], 1009],
    ['more than can be counted announced', [{ claims: 2n ** 62n }], 1009],
    ['a negative length announced', [{ claims: 2n ** 63n }], 1009],
    ['a binary frame', [{ opcode: 2, payload: text('{}') }], 4400],
    ['a close code that may not be sent', [close(0x03, 0xed)], 1002],
    ['a close frame of one byte', [close(0x03)], 1002],
    ['a close reason that is no UTF-8', [close(0x03, 0xe8, 0xc3, 0x28)], 1007],
  ])('%s closes the connection', async (_, frames, code) => {
    await using socket = await open()
    await socket.send(Buffer.concat(frames.map(frameOf)))
    expect((await socket.closed).code).toBe(code)
  })

  test('131,072 fragments of one byte are refused before they are a burden', async () => {
    await using socket = await open()
    const rest = frameOf({ opcode: 0, isFinal: false, payload: text(' ') })
    await socket.send(frameOf({ isFinal: false, payload: text('[') }))
    for (let sent = 0; sent < 131_072; sent += 4_096) await socket.send(Buffer.concat(Array(4_096).fill(rest)))
    await socket.send(frameOf({ opcode: 0, payload: text(']') }))
    await socket.send(textFrameOf('no call'))
    expect([1008, 1009, 4400]).toContain((await socket.closed).code)
  })

  test('a message that never ends is closed at the limit', async () => {
    await using socket = await open()
    const rest = frameOf({ opcode: 0, isFinal: false, payload: Buffer.alloc(32 * 1024, 0x20) })
    await socket.send(frameOf({ isFinal: false, payload: text('[') }))
    const sending = (async () => {
      for (let sent = 0; sent < 64; sent += 1) await socket.send(rest)
    })()
    expect((await socket.closed).code).toBe(1009)
    await sending
  })

  test('empty fragments without end are no burden', async () => {
    await using socket = await open()
    const before = await rssOf(relayPid)
    const nothing = frameOf({ opcode: 0, isFinal: false })
    await socket.send(frameOf({ isFinal: false, payload: text('[') }))
    for (let sent = 0; sent < 32; sent += 1) await socket.send(Buffer.concat(Array(4_096).fill(nothing)))
    await Promise.race([sleep(500), socket.closed])
    expect((await rssOf(relayPid)) - before).toBeLessThan(GROWTH_MAX_BYTES)
  })

  test('the same from someone without a token', async () => {
    for (const frames of [[{ isMasked: false }], [{ claims: 101n * 1024n * 1024n }], [{ opcode: 3 }]]) {
      await using socket = await RawWebSocket.open(relay.port)
      await socket.send(Buffer.concat(frames.map(frameOf)))
      expect([1002, 1009]).toContain((await socket.closed).code)
    }
  })

  test('compression is not negotiated, so nothing can unfold (B-04)', async () => {
    await using socket = await open({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' })
    expect(socket.head).not.toMatch(/sec-websocket-extensions/i)
    await socket.send(frameOf({ reserved: 0x40, payload: Buffer.from('aa56ca48cdc9c95728cf2fca4901', 'hex') }))
    expect((await socket.closed).code).toBe(1002)
  })
})

describe('batches and ids (S-2)', () => {
  test.each<[string, unknown, string[]]>([
    ['an empty batch', [], []],
    ['33 calls', Array.from({ length: 33 }, (_, id) => call(id)), ['LIMIT']],
    ['256 calls', Array.from({ length: 256 }, (_, id) => call(id)), Array(224).fill('LIMIT')],
    ['the end of a subscription that never was', { id: 77, method: 'subscription.stop' }, []],
    ['the end of a subscription that is a call', [call(78), { id: 78, method: 'subscription.stop' }], []],
  ])('%s: the rest is answered', async (_, frame, codes) => {
    const outcome = await send(JSON.stringify(frame))
    if ('code' in outcome) throw new Error(`closed with ${outcome.code}`)
    expect(outcome.answers.flatMap(({ error }) => (error === undefined ? [] : [error.data.code]))).toEqual(codes)
  })

  test.each<[string, unknown]>([
    ['257 calls', Array.from({ length: 257 }, (_, id) => call(id))],
    ['a batch in a batch', [[call(1)]]],
    ['null in a batch', [call(1), null]],
    ['a number', 1],
    ['null', null],
    ['a string', 'x'],
    ['one id twice in a batch', [call(1), call(1)]],
    ['an id of null', call(null)],
    ['an id of 65 characters', call('x'.repeat(65))],
    ['an id that is a list', call([1])],
    ['no params', { id: 1, method: 'query' }],
    ['params that are a list', { id: 1, method: 'query', params: [] }],
    ['a path that is a number', { id: 1, method: 'query', params: { path: 1 } }],
    ['another version of JSON-RPC', { ...call(1), jsonrpc: '1.0' }],
    [
      'a lastEventId that is a number',
      { id: 1, method: 'subscription', params: { path: 'events.watch', lastEventId: 1 } },
    ],
  ])('%s closes the connection with 4400', async (_, frame) => {
    expect(await send(JSON.stringify(frame))).toEqual({ code: 4400 })
  })

  test('one id twice under way closes the connection', async () => {
    await using socket = await open()
    await socket.send(textFrameOf(JSON.stringify(call(5, 'events.watch', {}, 'subscription'))))
    await until(() => socket.texts.length > 0)
    await socket.send(textFrameOf(JSON.stringify(call(5, 'events.watch', {}, 'subscription'))))
    expect((await socket.closed).code).toBe(4400)
  })
})

describe('connectionParams (S-3)', () => {
  const params = (data: unknown) => JSON.stringify({ method: 'connectionParams', data })
  test.each<[string, string[], number]>([
    ['a list', [params([])], 4400],
    ['a string', [params('token')], 4400],
    ['twice', [params({}), params({})], 4400],
    ['late', [JSON.stringify(call(1)), params({})], 4400],
    ['in a batch', [JSON.stringify([{ method: 'connectionParams', data: {} }])], 4400],
    ['with a token that is none', [params({ token: 'x'.repeat(200) })], 4401],
    ['with a token of 20 KB', [params({ token: 'x'.repeat(20_000) })], 4400],
  ])('%s', async (_, frames, code) => {
    await using socket = await RawWebSocket.open(relay.port)
    for (const frame of frames) await socket.send(textFrameOf(frame))
    expect((await socket.closed).code).toBe(code)
  })

  test.each<[string, unknown]>([
    ['with a token that is a number', { token: 1 }],
    ['with a token that is an object', { token: { toString: 'x' } }],
    ['with a polluting key', JSON.parse('{"__proto__":{"token":"x","polluted":1}}')],
    ['of null', null],
  ])('%s is as good as none: calls are refused', async (_, data) => {
    await using socket = await RawWebSocket.open(relay.port)
    await socket.send(textFrameOf(params(data)))
    await socket.send(textFrameOf(JSON.stringify(call(1))))
    await until(() => socket.texts.length > 0)
    expect(JSON.parse(socket.texts[0] ?? '')).toMatchObject({ error: { data: { code: 'UNAUTHORIZED' } } })
  })
})

describe('procedures that are none (B-07)', () => {
  const PATHS = [
    ...[
      '',
      '.',
      '..',
      'a.b.c',
      'auth',
      'auth.',
      '.whoami',
      'auth.whoami.x',
      'AUTH.WHOAMI',
      'auth/whoami',
      'auth.whoami\0',
    ],
    ...['__proto__', '__proto__.x', 'constructor', 'constructor.prototype', 'auth.__proto__', 'auth.constructor'],
    ...['toString', 'hasOwnProperty', 'auth.toString', '_def', '_def.procedures', 'createCaller', '$types'],
    ...['x'.repeat(10_240), 'é\u202e\u0000', '../../etc/passwd', '%2e%2e'],
  ]
  test.each(['query', 'mutation', 'subscription'])('%s: one shape for all, without a stack', async (method) => {
    await using socket = await open()
    for (const path of PATHS) {
      const outcome = await send(JSON.stringify(call(1, path, {}, method)), socket)
      if ('code' in outcome) throw new Error(`${path.slice(0, 50)} closed the connection with ${outcome.code}`)
      expect(outcome.answers).toEqual([
        {
          id: 1,
          error: {
            code: expect.any(Number),
            message: expect.stringMatching(/^[^\n]{1,400}$/),
            data: { code: 'UNKNOWN_COMMAND', httpStatus: 404, path: path.slice(0, 200) },
          },
        },
      ])
    }
  })

  test('over HTTP too', async () => {
    for (const path of PATHS.filter((one) => one.length < 1_000 && !/[\0\u202e]|^\.*$|\.\.\//.test(one))) {
      const answer = await fetch(`http://127.0.0.1:${relay.port}/trpc/${encodeURIComponent(path)}`, {
        headers: { authorization: `Bearer ${relay.token}` },
      })
      expect([path, answer.status]).toEqual([path, 404])
      expect(await answer.text()).not.toMatch(/\n\s+at |node_modules/)
    }
  })
})

describe('envelopes of any kind (B-06)', () => {
  const SAFE = [
    'auth.whoami',
    'sessions.list',
    'sessions.get',
    'projects.get',
    'commands.get',
    'commands.list',
    'commands.run',
  ]
  const MORE = [
    'commands.cancel',
    'sessions.create',
    'sessions.terminate',
    'projects.create',
    'terminal.write',
    'terminal.resize',
  ]
  const HIDDEN = [
    'orchestrator.register',
    'orchestrator.publish',
    'orchestrator.send',
    'tokens.revoke',
    'auth.exchange',
    'audit.list',
  ]
  const STREAMS = ['events.watch', 'terminal.watch', 'sessions.exec', 'orchestrator.commands', 'orchestrator.streams']
  const path = fc.oneof(fc.constantFrom(...SAFE, ...MORE, ...HIDDEN, ...STREAMS), fc.string())
  const field = fc.constantFrom(
    'commandId',
    'sessionId',
    'projectId',
    'epoch',
    'events',
    'command',
    'input',
    'after',
    '__proto__',
    'limit',
    'token',
  )
  const scalar = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.maxSafeInteger(),
    fc.constantFrom(null, true, '', '__proto__', 'demo', 'demo_first', 1e308, -1, '01ARZ3NDEKTSV4RRFFQ69G5FAV'),
  )
  const input = fc.oneof(
    scalar,
    fc.jsonValue(),
    fc.dictionary(field, fc.oneof(scalar, fc.jsonValue()), { noNullPrototype: true }),
  )
  const envelope = fc.record(
    {
      id: fc.oneof(fc.nat(), fc.string(), scalar),
      method: fc.oneof(fc.constantFrom('query', 'mutation', 'subscription', 'subscription.stop'), fc.string()),
      jsonrpc: fc.oneof(fc.constant('2.0'), scalar),
      params: fc.oneof(
        fc.record({ path, input, lastEventId: fc.oneof(fc.string(), scalar) }, { requiredKeys: ['path'] }),
        fc.jsonValue(),
      ),
    },
    { requiredKeys: ['id', 'method', 'params'] },
  )
  const wellFormed = fc.record({
    id: fc.nat(),
    method: fc.constantFrom('query', 'mutation', 'subscription'),
    params: fc.record({ path, input, lastEventId: fc.string() }, { requiredKeys: ['path'] }),
  })

  test('are answered with a typed error or a result, or close the connection as a bad frame', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(wellFormed, envelope, fc.array(wellFormed, { maxLength: 4 })), async (frame) => {
        const sent = JSON.stringify(frame)
        const outcome = await send(sent)
        if ('code' in outcome) expect([4400, 1009], sent).toContain(outcome.code)
        else for (const answer of outcome.answers) expectTyped(answer, sent)
      }),
      { seed: SEED, numRuns: 400 },
    )
  })

  test('that are not even JSON close the connection', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (text) => {
        fc.pre(text !== 'PING' && text !== 'PONG')
        const outcome = await send(text)
        if (isJson(text)) return
        expect(outcome, text).toEqual({ code: 4400 })
      }),
      { seed: SEED, numRuns: 50 },
    )
  })

  test('nested deeper than any parser likes', async () => {
    const deep = (levels: number) =>
      `{"id":1,"method":"mutation","params":{"path":"commands.run","input":${'['.repeat(levels)}${']'.repeat(levels)}}}`
    for (const levels of [100, 10_000, 100_000]) {
      const outcome = await send(deep(levels))
      if ('code' in outcome) expect([4400, 1009]).toContain(outcome.code)
      else for (const answer of outcome.answers) expectTyped(answer, `${levels} levels`)
    }
    const commandId = newCommandId()
    const input = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
    const run = `{"id":1,"method":"mutation","params":{"path":"commands.run","input":{"commandId":"${commandId}","command":"slow","input":${input}}}}`
    const outcome = await send(run)
    if ('answers' in outcome) for (const answer of outcome.answers) expectTyped(answer, 'a deep input')
  })
})

describe('positions (E-3)', () => {
  const garbage = [
    '',
    'x',
    '.',
    '.1',
    '1',
    '1.1',
    '-1',
    '∞',
    ' ',
    'NaN',
    'null',
    '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    '01ARZ3NDEKTSV4RRFFQ69G5FAV.',
  ]
  const numbers = ['-1', '01', '1.5', '1e3', '1e309', 'Infinity', '99999999999999999', '1 ', '0x1']
  const wrong = [...garbage, ...numbers.map((number) => `01ARZ3NDEKTSV4RRFFQ69G5FAV.${number}`), 'x'.repeat(100_000)]

  test.each(['input', 'lastEventId'])('that are none are refused, in %s', async (where) => {
    await using socket = await open()
    for (const position of wrong) {
      const params =
        where === 'input'
          ? { path: 'events.watch', input: { after: position } }
          : { path: 'events.watch', lastEventId: position }
      const outcome = await send(JSON.stringify({ id: 1, method: 'subscription', params }), socket)
      if ('code' in outcome) throw new Error(`${position.slice(0, 40)} closed the connection with ${outcome.code}`)
      // tRPC itself takes an empty lastEventId for none.
      if (where === 'lastEventId' && position === '')
        await send(JSON.stringify({ id: 1, method: 'subscription.stop' }), socket)
      else
        expect([position.slice(0, 40), outcome.answers[0]?.error?.data.code]).toEqual([
          position.slice(0, 40),
          'INVALID_INPUT',
        ])
    }
  })

  test.each([
    ['of another epoch', () => '01ARZ3NDEKTSV4RRFFQ69G5FAV.5', 'epoch'],
    ['of this epoch and the future', (epoch: string) => `${epoch}.9007199254740991`, 'retention'],
    ['of this epoch and more than a number holds', (epoch: string) => `${epoch}.9999999999999999`, 'retention'],
  ])('%s give a gap and a snapshot', async (_, positionOf, reason) => {
    const epoch = await presentEpoch()
    const events: unknown[] = []
    for await (const event of bystander.events({ after: positionOf(epoch) })) if (events.push(event) === 2) break
    expect(events).toMatchObject([{ type: 'gap', reason }, { type: 'snapshot' }])
  })

  test('of 0 give everything there is', async () => {
    const epoch = await presentEpoch()
    for await (const event of bystander.events({ after: `${epoch}.0` })) {
      expect(event.position).toBe(`${epoch}.1`)
      break
    }
  })

  async function presentEpoch(): Promise<string> {
    for await (const { position } of bystander.events({ snapshot: true })) return position.split('.')[0] ?? ''
    throw new Error('there was no snapshot')
  }

  test('of a terminal that are none are refused', async () => {
    for (const after of [-1, 1.5, -1e308, 'x', {}, 2 ** 60]) {
      const outcome = await send(
        JSON.stringify(call(1, 'terminal.watch', { sessionId: 'demo_first', after }, 'subscription')),
      )
      if ('code' in outcome) throw new Error(`${after} closed the connection with ${outcome.code}`)
      for (const answer of outcome.answers) expectTyped(answer, String(after))
    }
  })
})

describe('keys that would reach into every object (B-08)', () => {
  const POLLUTION =
    '{"__proto__":{"polluted":1,"isAdmin":true},"constructor":{"prototype":{"polluted":1}},"a":{"\\u005f_proto__":{"polluted":1}},"kept":1}'

  test('change nothing, and are not kept', async () => {
    const commandId = newCommandId()
    const run = `{"id":1,"method":"mutation","params":{"path":"commands.run","input":{"commandId":"${commandId}","command":"slow","input":${POLLUTION}}}}`
    await using socket = await open()
    await socket.send(textFrameOf(run))
    expect(await socket.hears('"state":"succeeded"')).toBe(true)
    expect(JSON.stringify(dispatched.at(-1))).toContain('"kept":1')
    expect(JSON.stringify(dispatched.at(-1))).not.toContain('__proto__')
    expect(JSON.stringify(await bystander.commands.get.query({ commandId }))).not.toContain('__proto__')

    for (const path of [
      'sessions.list',
      'commands.run',
      'projects.create',
      'sessions.create',
      'tokens.create',
      'orchestrator.register',
      'auth.exchange',
      'terminal.write',
    ])
      for (const method of ['query', 'mutation']) {
        const told = await send(`{"id":1,"method":"${method}","params":{"path":"${path}","input":${POLLUTION}}}`)
        if ('answers' in told) for (const answer of told.answers) expectTyped(answer, path)
      }
    await send(`{"id":1,"method":"query","params":{"path":"auth.whoami"},"__proto__":{"polluted":1}}`)
    expect(await polluted()).toBe('undefinedundefined')
  })

  test('over HTTP too', async () => {
    const commandId = newCommandId()
    const answer = await fetch(`http://127.0.0.1:${relay.port}/trpc/commands.run`, {
      method: 'POST',
      headers: { authorization: `Bearer ${relay.token}`, 'content-type': 'application/json' },
      body: `{"commandId":"${commandId}","command":"slow","input":${POLLUTION}}`,
    })
    expect(answer.status).toBe(200)
    expect(JSON.stringify(dispatched.at(-1))).not.toContain('__proto__')
    expect(await polluted()).toBe('undefinedundefined')
  })

  async function polluted(): Promise<string> {
    const path = join(stray, 'polluted')
    await rm(path, { force: true })
    relay.signal('SIGUSR2')
    let text = ''
    await until(async () => {
      text = await readFile(path, 'utf8').catch(() => '')
      return text !== ''
    })
    return text
  }
})

test('after all this the relay is the same process and holds about as much as before', async () => {
  expect(relay.pid).toBe(relayPid)
  expect((await rssOf(relayPid)) - rssBefore).toBeLessThan(GROWTH_MAX_BYTES)
  await until(async () => {
    const health = await fetch(`http://127.0.0.1:${relay.port}/health`)
    return ((await health.json()) as { clients: number }).clients === 1
  })
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
