import { generateKeyPairSync } from 'node:crypto'
import { type ErrorCode, LINK_VERSION, type Role, type Scope } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { WebSocket } from 'ws'
import type { Access } from './router/access.ts'
import { appRouter } from './router/index.ts'
import { aProject, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { TestRelay } from './test-support/test-relay.ts'

type Outcome = ErrorCode | 'ok' | 'started'

/** A machine with project `shop` and its session, which is offline by the time of the calls: nothing here waits for anything. */
const HERE = ulid()
const ELSEWHERE = ulid()

interface Expected {
  access: Access
  /** A call that is well-formed and, for whom it is allowed, ends like this. */
  input?: unknown
  allowed: Outcome
  /** For a token of this role that is limited to another project, and to another machine. */
  otherProject?: Outcome
  otherMachine?: Outcome
}

const shop = { projectId: 'shop' }
const session = { sessionId: 'shop_first' }
const hidden = { otherProject: 'NOT_FOUND', otherMachine: 'NOT_FOUND' } as const
const offline = { allowed: 'ORCHESTRATOR_OFFLINE' } as const
/** Lists and what concerns only the caller: narrowed, not refused. */
const own = { otherProject: 'ok', otherMachine: 'ok' } as const
const adminOnly = { access: 'admin', allowed: 'ok' } as const // no admin is limited
const machineOnly = { access: 'orchestrator' } as const
const hash = '0'.repeat(64)
const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).toString('base64')

/** What each procedure is expected to answer to whom: a new one without a line here fails. */
const EXPECTED: Record<string, Expected> = {
  'auth.whoami': { access: 'client', allowed: 'ok', ...own },
  'auth.exchange': { access: 'public', input: {}, allowed: 'INVALID_INPUT' },
  'auth.createCode': { access: 'client', allowed: 'ok', ...own },
  'auth.logout': { access: 'client', allowed: 'ok', ...own },
  'orchestrators.list': { access: 'viewer', allowed: 'ok', ...own },
  'orchestrators.enroll': adminOnly,
  'projects.list': { access: 'viewer', allowed: 'ok', ...own },
  'projects.get': { access: 'viewer', input: shop, allowed: 'ok', ...hidden },
  'projects.create': {
    access: 'operator',
    input: { name: 'new', orchestratorId: HERE },
    ...offline,
    otherProject: 'FORBIDDEN',
    otherMachine: 'ORCHESTRATOR_NOT_FOUND',
  },
  'projects.delete': { access: 'operator', input: shop, ...offline, ...hidden },
  'projects.update': { access: 'operator', input: { ...shop, agent: 'shell' }, ...offline, ...hidden },
  'projects.secrets.list': { access: 'viewer', input: shop, ...offline, ...hidden },
  'projects.secrets.set': { access: 'operator', input: { ...shop, name: 'KEY', value: 'x' }, ...offline, ...hidden },
  'projects.secrets.unset': { access: 'operator', input: { ...shop, name: 'KEY' }, ...offline, ...hidden },
  'sessions.list': { access: 'viewer', input: shop, allowed: 'ok', ...own },
  'sessions.get': { access: 'viewer', input: session, allowed: 'ok', ...hidden },
  'sessions.create': { access: 'operator', input: { ...shop, name: 'second' }, ...offline, ...hidden },
  'sessions.terminate': { access: 'operator', input: session, ...offline, ...hidden },
  'sessions.exec': {
    access: 'operator',
    input: { execId: 'exec-0001', ...session, argv: ['true'] },
    ...offline,
    ...hidden,
  },
  'sessions.fork': { access: 'operator', input: { ...session, name: 'other' }, ...offline, ...hidden },
  'sessions.archives': { access: 'viewer', input: shop, ...offline, otherProject: 'NOT_FOUND' },
  'sessions.restore': { access: 'operator', input: { archiveId: 'shop_first' }, ...offline, ...hidden },
  'sessions.export': {
    access: 'operator',
    input: { exportId: 'export-1', ...session, format: 'patch' },
    ...offline,
    ...hidden,
  },
  'sessions.pause': { access: 'operator', input: session, ...offline, ...hidden },
  'sessions.resume': { access: 'operator', input: session, ...offline, ...hidden },
  'sessions.restart': { access: 'operator', input: session, ...offline, ...hidden },
  'sessions.setLimits': { access: 'operator', input: { ...session, limits: { cpus: 1 } }, ...offline, ...hidden },
  'sessions.stats': { access: 'viewer', input: session, ...offline, ...hidden },
  'sessions.egress': { access: 'viewer', input: session, ...offline, ...hidden },
  'sessions.execInput': { access: 'operator', input: { execId: 'exec-0001' }, allowed: 'NOT_FOUND', ...hidden },
  'chat.watch': { access: 'viewer', input: session, ...offline, ...hidden },
  'chat.history': { access: 'viewer', input: { ...session, before: 1 }, ...offline, ...hidden },
  'chat.prompt': { access: 'operator', input: { ...session, text: 'go on' }, ...offline, ...hidden },
  'chat.cancel': { access: 'operator', input: session, ...offline, ...hidden },
  'chat.setOption': { access: 'operator', input: { ...session, optionId: 'mode', value: 'x' }, ...offline, ...hidden },
  'inbox.list': { access: 'viewer', allowed: 'ok', ...own },
  'inbox.answer': {
    access: 'operator',
    input: { questionId: ulid(), optionId: 'yes' },
    allowed: 'NOT_FOUND',
    ...hidden,
  },
  'rules.list': { access: 'viewer', input: shop, ...offline, ...hidden },
  'rules.revoke': { access: 'operator', input: { ...shop, ruleId: ulid() }, ...offline, ...hidden },
  'agents.list': {
    access: 'viewer',
    input: { orchestratorId: HERE },
    allowed: 'ok',
    otherProject: 'ORCHESTRATOR_NOT_FOUND',
    otherMachine: 'ORCHESTRATOR_NOT_FOUND',
  },
  'agents.install': {
    access: 'operator',
    input: { agent: 'claude', orchestratorId: HERE },
    ...offline,
    otherProject: 'FORBIDDEN',
    otherMachine: 'ORCHESTRATOR_NOT_FOUND',
  },
  'rootfs.info': {
    access: 'viewer',
    input: { orchestratorId: HERE },
    ...offline,
    otherProject: 'FORBIDDEN',
    otherMachine: 'ORCHESTRATOR_NOT_FOUND',
  },
  'rootfs.build': { ...adminOnly, input: { orchestratorId: HERE }, ...offline },
  'commands.run': {
    access: 'operator',
    input: { commandId: ulid(), command: 'delete_project', input: shop },
    ...offline,
    ...hidden,
  },
  'commands.get': { access: 'viewer', input: { commandId: ulid() }, allowed: 'NOT_FOUND', ...hidden },
  'commands.list': { access: 'viewer', input: shop, allowed: 'ok', ...own },
  'commands.cancel': { access: 'operator', input: { commandId: ulid() }, allowed: 'NOT_FOUND', ...hidden },
  'events.watch': {
    access: 'viewer',
    input: shop,
    allowed: 'started',
    otherProject: 'started',
    otherMachine: 'started',
  },
  'terminal.watch': { access: 'viewer', input: session, ...offline, ...hidden },
  'terminal.write': { access: 'operator', input: { ...session, data: 'x' }, ...offline, ...hidden },
  'terminal.resize': { access: 'operator', input: { ...session, cols: 80, rows: 24 }, ...offline, ...hidden },
  'tokens.create': { ...adminOnly, input: { role: 'viewer', name: 'made' } },
  'tokens.list': adminOnly,
  'tokens.change': { ...adminOnly, input: { tokenId: 'none' }, allowed: 'NOT_FOUND' },
  'tokens.revoke': { ...adminOnly, input: { tokenId: 'none' }, allowed: 'NOT_FOUND' },
  'audit.list': adminOnly,
  'orchestrator.enroll': {
    access: 'enroll',
    input: { orchestratorId: ulid(), publicKey: key, facts: {}, signature: 'AAAA' },
    allowed: 'FORBIDDEN', // as it is not signed; that the code is good shows elsewhere
  },
  'orchestrator.challenge': { ...machineOnly, allowed: 'ok' },
  'orchestrator.register': {
    ...machineOnly,
    input: {
      linkVersion: LINK_VERSION + 1,
      orchestrator: {
        ...{ id: HERE, name: 'here', version: '0', machine: { cores: 1, memoryBytes: 1, kernel: '6' } },
        ...{ agents: [], isolation: 'full', warnings: [] },
      },
      ...{ commands: [], projects: [], sessions: [], known: [], host: { facts: { boot: hash } } },
    },
    allowed: 'UPGRADE_REQUIRED',
  },
  'orchestrator.commands': { ...machineOnly, input: { epoch: 1 }, allowed: 'CONFLICT' },
  'orchestrator.publish': {
    ...machineOnly,
    input: { epoch: 1, events: [{ seq: 1, event: { type: 'command_ack', commandId: ulid() } }] },
    allowed: 'CONFLICT',
  },
  'orchestrator.streams': { ...machineOnly, input: { epoch: 1 }, allowed: 'CONFLICT' },
  'orchestrator.send': {
    ...machineOnly,
    input: { epoch: 1, frames: [{ type: 'closed', streamId: 'stream-1' }] },
    allowed: 'CONFLICT',
  },
}

// At run time the record is flat, by path; its type is nested.
const flat = appRouter._def.procedures as unknown as Record<string, { _def: { type: string; meta: unknown } }>
const procedures = Object.entries(flat).map(([path, { _def }]) => ({ path, type: _def.type, meta: _def.meta }))

const CLIENTS: readonly Role[] = ['viewer', 'operator', 'admin']
const ROLES: readonly Role[] = [...CLIENTS, 'orchestrator', 'enroll']

/** Which roles may, written out once more and not taken from the code that is under test. */
function mayCall(role: Role, access: Access): boolean {
  switch (access) {
    case 'public':
      return true
    case 'client':
    case 'viewer':
      return CLIENTS.includes(role)
    case 'operator':
      return role === 'operator' || role === 'admin'
    case 'admin':
    case 'orchestrator':
    case 'enroll':
      return role === access
    default:
      return access satisfies never
  }
}

let relay: TestRelay
/** Tokens by who presents them, made once; a call that ends its token makes its own. */
const tokens = new Map<string, string | undefined>()
const callers = new Map<string, Caller>()

beforeAll(async () => {
  // A socket with a wrong token is used for all its calls here, so it may stay.
  relay = await TestRelay.start({
    limits: { rejectGraceMs: 600_000, authDeadlineMs: 600_000, recheckIntervalMs: 600_000 },
  })
  const gone = await FakeOrchestrator.connect(relay, {
    id: HERE,
    projects: [aProject('shop')],
    sessions: [aSession('shop', 'first')],
  })
  await gone[Symbol.asyncDispose]()
  const other = await FakeOrchestrator.connect(relay, { id: ELSEWHERE, projects: [aProject('other')] })
  await other[Symbol.asyncDispose]()
  await vi.waitFor(() => expect(relay.relay.services.fleet.onlineCount()).toBe(0), { timeout: 10_000 })

  tokens.set('none', undefined)
  tokens.set('malformed', 'what is this')
  const { token, id } = await relay.token('admin')
  tokens.set('wrong', `${token.slice(0, -8)}AAAAAAAA`)
  tokens.set('revoked', token)
  tokens.set('expired', (await relay.token('admin', 1)).token)
  for (const role of ROLES) tokens.set(role, (await relay.token(role)).token)
  for (const role of ['viewer', 'operator'] as const) {
    tokens.set(`${role} of another project`, (await relay.token(role, undefined, { projects: ['other'] })).token)
    tokens.set(`${role} of another machine`, (await relay.token(role, undefined, { orchestrators: [ELSEWHERE] })).token)
  }
  await relay.relay.services.tokens.revoke(id)
  for (const [who, presented] of tokens) callers.set(who, await Caller.connect(relay, presented))
})
afterAll(() => relay[Symbol.asyncDispose]())

/** What came for one call, in order. */
class Answers {
  readonly #come: Outcome[] = []
  #wake: () => void = () => undefined

  add(outcome: Outcome): void {
    this.#come.push(outcome)
    this.#wake()
  }

  async next(): Promise<Outcome> {
    while (this.#come[0] === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#come.shift() ?? 'ok'
  }
}

/** One socket for all the calls of one token, and the same calls over HTTP. */
class Caller {
  readonly #relay: TestRelay
  readonly #socket: WebSocket
  readonly #token: string | undefined
  readonly #answers = new Map<number, Answers>()
  #last = 0

  private constructor(relay: TestRelay, socket: WebSocket, token: string | undefined) {
    this.#relay = relay
    this.#socket = socket
    this.#token = token
    socket.on('message', (data) => {
      const { id, error, result } = JSON.parse(String(data))
      expect(JSON.stringify(error ?? {})).not.toMatch(/at .*\.ts|stack/)
      this.#answers.get(id)?.add(error?.data.code ?? (result.type === 'started' ? 'started' : 'ok'))
    })
  }

  static async connect(relay: TestRelay, token: string | undefined): Promise<Caller> {
    return new Caller(relay, await relay.socket(token === undefined ? {} : { token }), token)
  }

  /** A subscription that has begun counts as allowed only when no error follows at once. */
  async overSocket(path: string, type: string, input: unknown): Promise<Outcome> {
    this.#last += 1
    const id = this.#last
    const answers = new Answers()
    this.#answers.set(id, answers)
    this.#socket.send(JSON.stringify({ id, method: type, params: { path, input } }))
    const first = await answers.next()
    if (first !== 'started') return first
    this.#socket.send(JSON.stringify({ id, method: 'subscription.stop' }))
    const second = await answers.next()
    return second === 'ok' ? 'started' : second
  }

  async overHttp(path: string, type: string, input: unknown): Promise<Outcome> {
    const url = new URL(`${this.#relay.httpUrl}/trpc/${path}`)
    const headers = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }
    const isMutation = type === 'mutation'
    if (!isMutation && input !== undefined) url.searchParams.set('input', JSON.stringify(input))
    const response = await fetch(url, {
      method: isMutation ? 'POST' : 'GET',
      headers: isMutation ? { ...headers, 'content-type': 'application/json' } : headers,
      ...(isMutation && input !== undefined ? { body: JSON.stringify(input) } : {}),
    })
    const text = await response.text()
    // A subscription is answered as a stream of server-sent events, of which the first says why not.
    const json = /^\s*\{/.test(text)
      ? text
      : (/^data: (.*)$/m.exec(text.slice(text.indexOf('event: serialized-error')))?.[1] ?? text)
    const body = JSON.parse(json)
    return (body.error ?? body).data?.code ?? 'ok'
  }
}

describe('every procedure × everyone × both ways in (A-01, generated from the router)', () => {
  test('each procedure declares who may call it, and as expected', () => {
    const declared = procedures.map(({ path, meta }) => [path, Reflect.get(Object(meta), 'access')])
    expect(Object.fromEntries(declared)).toEqual(
      Object.fromEntries(Object.entries(EXPECTED).map(([path, { access }]) => [path, access])),
    )
  })

  test.each(procedures)('$path', async ({ path, type }) => {
    const expected = EXPECTED[path]
    if (expected === undefined) throw new Error(`${path} has no line in EXPECTED`)
    const { access, allowed, otherProject, otherMachine } = expected
    const wanted = new Map<string, Outcome>()
    for (const who of ['none', 'malformed', 'wrong', 'expired', 'revoked'])
      wanted.set(who, access === 'public' ? allowed : 'UNAUTHORIZED')
    for (const role of ROLES) wanted.set(role, mayCall(role, access) ? allowed : 'FORBIDDEN')
    for (const role of ['viewer', 'operator'] as const) {
      const isMet = mayCall(role, access)
      wanted.set(`${role} of another project`, isMet ? (otherProject ?? allowed) : 'FORBIDDEN')
      wanted.set(`${role} of another machine`, isMet ? (otherMachine ?? allowed) : 'FORBIDDEN')
    }
    const overSocket = new Map<string, Outcome>()
    const overHttp = new Map<string, Outcome>()
    for (const who of wanted.keys()) {
      overSocket.set(who, await (await callerFor(who, path)).overSocket(path, type, expected.input))
      overHttp.set(who, await (await callerFor(who, path)).overHttp(path, type, expected.input))
    }
    expect(Object.fromEntries(overSocket)).toEqual(Object.fromEntries(wanted))
    expect(Object.fromEntries(overHttp)).toEqual(
      Object.fromEntries([...wanted].map(([who, outcome]) => [who, httpOutcome(path, type, outcome)])),
    )
  })

  /** Over HTTP there are no subscriptions, and no machine registers; who may not is told so first. */
  function httpOutcome(path: string, type: string, outcome: Outcome): Outcome {
    if (outcome === 'UNAUTHORIZED' || outcome === 'FORBIDDEN') return outcome
    const needsSocket = type === 'subscription' || path === 'orchestrator.register' || path === 'orchestrator.challenge'
    return needsSocket ? 'INVALID_INPUT' : outcome
  }

  async function callerFor(who: string, path: string): Promise<Caller> {
    const shared = callers.get(who)
    if (shared === undefined) throw new Error(who)
    if (path !== 'auth.logout' || !/^(viewer|operator|admin)/.test(who)) return shared
    const [role, , , what] = who.split(' ')
    const scope: Scope =
      what === 'project' ? { projects: ['other'] } : what === 'machine' ? { orchestrators: [ELSEWHERE] } : {}
    return Caller.connect(
      relay,
      (await relay.token(CLIENTS.find((one) => one === role) ?? 'viewer', undefined, scope)).token,
    )
  }
})
