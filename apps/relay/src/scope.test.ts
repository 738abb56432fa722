import { CLOSE_CODES, type Scope } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aProject, aQuestion, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { type TestClient, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
let a: FakeOrchestrator
let b: FakeOrchestrator
beforeAll(async () => {
  relay = await TestRelay.start()
  a = await FakeOrchestrator.connect(relay, {
    name: 'machine-a',
    projects: [aProject('shop'), aProject('secret')],
    sessions: [aSession('shop', 'first'), aSession('secret', 'plan')],
    withStreams: true,
  })
  b = await FakeOrchestrator.connect(relay, {
    name: 'machine-b',
    projects: [aProject('blog')],
    sessions: [aSession('blog', 'post')],
    withStreams: true,
  })
  for (const machine of [a, b])
    machine.onDispatch((dispatch) => {
      if (dispatch.type !== 'run') return
      const { commandId, command } = dispatch
      const output = command === 'list_sessions' ? [] : { text: 'what only those in scope may read' }
      void machine.publish({ type: 'command_ack', commandId }, { type: 'command_result', commandId, command, output })
    })
})
afterAll(async () => {
  await a[Symbol.asyncDispose]()
  await b[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
})

async function limited(scope: Scope, role: 'viewer' | 'operator' = 'operator'): Promise<TestClient> {
  return relay.client((await relay.token(role, undefined, scope)).token)
}

const code = (wanted: string) => ({ data: { code: wanted } })

/** As much of an event as is looked at here. */
interface Seen {
  type: string
  position: string
  session?: { title?: string | undefined }
}

/** Events that a client sees from now on, without the end of what it was opened for. */
function watching({ call }: TestClient, input: Parameters<TestClient['call']['events']['watch']['subscribe']>[0] = {}) {
  const events: Seen[] = []
  let error: unknown
  const ready = new Promise<void>((resolve) => {
    call.events.watch.subscribe(input, {
      onStarted: () => resolve(),
      onData: ({ data }) => void events.push(data),
      onError: (thrown) => {
        error = thrown
      },
    })
  })
  return { events, ready, error: () => error }
}

describe('a token that is limited to projects', () => {
  test('lists those, their sessions, and the machines that have them', async () => {
    await using client = await limited({ projects: ['shop'] })
    expect((await client.call.projects.list.query()).map(({ id }) => id)).toEqual(['shop'])
    expect((await client.call.sessions.list.query()).map(({ id }) => id)).toEqual(['shop_first'])
    expect(await client.call.sessions.list.query({ projectId: 'secret' })).toEqual([])
    expect((await client.call.orchestrators.list.query()).map(({ id }) => id)).toEqual([a.id])
    expect((await client.call.agents.list.query()).map(({ orchestratorId }) => orchestratorId)).toEqual([a.id])
    expect(await client.call.auth.whoami.query()).toMatchObject({ roles: ['operator'], projects: ['shop'] })
  })

  test('is told of the others exactly what is said of those that do not exist', async () => {
    await using client = await limited({ projects: ['shop'] })
    const message = async (call: () => Promise<unknown>) => {
      const error = await call().then(
        () => new Error('allowed'),
        (thrown: unknown) => thrown,
      )
      return String(error).replaceAll(/secret|nothing/g, '…')
    }
    const { projects, sessions, terminal, commands } = client.call
    const hiddenCommand = await aCommandOf('secret')
    for (const [hidden, missing] of [
      [() => projects.get.query({ projectId: 'secret' }), () => projects.get.query({ projectId: 'nothing' })],
      [() => sessions.get.query({ sessionId: 'secret_plan' }), () => sessions.get.query({ sessionId: 'nothing_plan' })],
      [
        () => sessions.create.mutate({ projectId: 'secret', name: 'x' }),
        () => sessions.create.mutate({ projectId: 'nothing', name: 'x' }),
      ],
      [
        () => terminal.write.mutate({ sessionId: 'secret_plan', data: 'x' }),
        () => terminal.write.mutate({ sessionId: 'nothing_plan', data: 'x' }),
      ],
      [() => commands.get.query({ commandId: hiddenCommand }), () => commands.get.query({ commandId: ulid() })],
    ] as const)
      expect(await message(hidden)).toBe(await message(missing))
    expect(a.orders.filter(({ type }) => type === 'terminal_input')).toEqual([])
  })

  test('sees no event, no snapshot row and no command of the others, and positions skip', async () => {
    await using admin = relay.client()
    await using client = await limited({ projects: ['shop'] }, 'viewer')
    const all = watching(admin)
    const own = watching(client, { snapshot: true })
    await Promise.all([all.ready, own.ready])
    const [hidden, shown] = [await aCommandOf('secret'), await aCommandOf('shop')]
    await b.publish({ type: 'session_updated', session: { ...aSession('blog', 'post'), title: 'renamed' } })
    await a.publish({ type: 'session_updated', session: { ...aSession('shop', 'first'), title: 'last' } })
    const titled = ({ events }: typeof own) => events.map((event) => event.session?.title)
    await expect.poll(() => titled(own), { timeout: 10_000 }).toContain('last')
    await expect.poll(() => titled(all), { timeout: 10_000 }).toContain('last')
    const text = JSON.stringify(own.events)
    for (const foreign of ['secret', 'blog', hidden, b.id]) expect(text).not.toContain(foreign)
    expect(text).toContain(shown)
    expect(own.events[0]).toMatchObject({
      type: 'snapshot',
      projects: [{ id: 'shop' }],
      sessions: [{ id: 'shop_first' }],
    })
    const positions = new Set(all.events.map(({ position }) => position))
    for (const event of own.events.slice(1)) expect(positions).toContain(event.position)
    // A resume is filtered like the rest.
    const again = watching(client, { after: all.events[0]?.position })
    await expect.poll(() => titled(again), { timeout: 10_000 }).toContain('last')
    expect(JSON.stringify(again.events)).not.toContain(hidden)
    expect((await client.call.commands.list.query()).map(({ projectId }) => projectId)).toEqual(['shop'])
  })

  test('sees and answers no question of the others', async () => {
    const question = aQuestion(ulid(), 'secret_plan')
    const shown = aQuestion(ulid(), 'shop_first')
    await a.publish({ type: 'question_asked', question }, { type: 'question_asked', question: shown })
    await using client = await limited({ projects: ['shop'] })
    expect((await client.call.inbox.list.query()).map(({ id }) => id)).toEqual([shown.id])
    const seen = watching(client, { snapshot: true })
    await expect.poll(() => JSON.stringify(seen.events), { timeout: 10_000 }).toContain(shown.id)
    expect(JSON.stringify(seen.events)).not.toContain(question.id)
    const answer = (questionId: string) => client.call.inbox.answer.mutate({ questionId, optionId: 'once' })
    const unknown = ulid()
    const textOf = (questionId: string) =>
      answer(questionId).catch((error: Error) => error.message.replace(questionId, '…'))
    expect(await textOf(question.id)).toBe(await textOf(unknown))
    expect(await client.call.rules.list.query().catch(() => 'asked')).toBe('asked') // of shop alone, which has no rules here
    expect(a.dispatched.filter((each) => each.type === 'run' && each.command === 'list_rules')).toMatchObject([
      { input: { projectId: 'shop' } },
    ])
  })

  test('runs nothing elsewhere, and nothing that concerns a machine as a whole', async () => {
    await using client = await limited({ projects: ['shop'] })
    const run = (command: string, input: unknown) =>
      client.call.commands.run.mutate({ commandId: ulid(), command, input })
    const before = a.dispatched.length
    await expect(run('list_sessions', { projectId: 'secret' })).rejects.toMatchObject(code('NOT_FOUND'))
    await expect(run('custom', { projectId: 'secret' })).rejects.toMatchObject(code('NOT_FOUND'))
    await expect(run('custom', { projectId: 'secret', sessionId: 'shop_first' })).rejects.toMatchObject(
      code('NOT_FOUND'),
    )
    await expect(run('custom', {})).rejects.toMatchObject(code('FORBIDDEN'))
    await expect(run('list_projects', {})).rejects.toMatchObject(code('FORBIDDEN'))
    await expect(client.call.projects.create.mutate({ name: 'shop' })).rejects.toMatchObject(code('FORBIDDEN'))
    expect(a.dispatched.length).toBe(before)
    expect(await run('custom', { projectId: 'shop' })).toMatchObject({ state: 'succeeded' })
    const hidden = await aCommandOf('secret')
    await expect(client.call.commands.cancel.mutate({ commandId: hidden })).rejects.toMatchObject(code('NOT_FOUND'))
    const repeat = { commandId: hidden, command: 'list_sessions', input: { projectId: 'secret' } }
    await expect(client.call.commands.run.mutate(repeat)).rejects.toMatchObject(code('NOT_FOUND'))
  })
})

test('a token that is limited to machines sees and runs things there only', async () => {
  await using client = await limited({ orchestrators: [b.id] })
  expect((await client.call.projects.list.query()).map(({ id }) => id)).toEqual(['blog'])
  expect((await client.call.orchestrators.list.query()).map(({ id }) => id)).toEqual([b.id])
  const run = (input: object) =>
    client.call.commands.run.mutate({ commandId: ulid(), command: 'custom', input: {}, ...input })
  expect(await run({})).toMatchObject({ orchestratorId: b.id, state: 'succeeded' }) // the only one, for all it knows
  await expect(run({ orchestratorId: a.id })).rejects.toMatchObject(code('ORCHESTRATOR_NOT_FOUND'))
  await expect(run({ input: { projectId: 'shop' } })).resolves.toMatchObject({ orchestratorId: b.id })
  const taken = client.call.projects.create.mutate({ name: 'shop' })
  await expect(taken).rejects.toMatchObject(code('CONFLICT'))
  await expect(taken).rejects.not.toThrow(/machine-a/)
})

test('both limits hold at once', async () => {
  await using client = await limited({ projects: ['shop'], orchestrators: [b.id] })
  expect(await client.call.projects.list.query()).toEqual([])
  expect(await client.call.orchestrators.list.query()).toEqual([])
})

describe('what is made from a limited token', () => {
  test('a device token has the same limits and no longer life, and ends with it', async () => {
    await using admin = relay.client()
    const made = await admin.call.tokens.create.mutate({
      role: 'operator',
      name: 'ci',
      ttlMs: 60_000,
      projects: ['shop'],
    })
    await using anyone = relay.client(undefined, { headers: {} })
    const pasted = await exchange({ token: made.token })
    await using own = relay.client(made.token)
    const { code: login } = await own.call.auth.createCode.mutate({ role: 'viewer' })
    const linked = await exchange({ code: login })
    await using device = relay.client(pasted.token)
    await using phone = relay.client(linked.token)
    expect(await device.call.auth.whoami.query()).toMatchObject({ roles: ['operator'], projects: ['shop'] })
    expect(await phone.call.auth.whoami.query()).toMatchObject({ roles: ['viewer'], projects: ['shop'] })
    const infos = (await admin.call.tokens.list.query()).filter(({ madeFrom }) => madeFrom === made.info.id)
    expect(infos).toHaveLength(2)
    for (const { expiresAt } of infos)
      expect(Date.parse(expiresAt ?? '')).toBeLessThanOrEqual(Date.parse(made.info.expiresAt ?? '') + 1_000)
    await admin.call.tokens.revoke.mutate({ tokenId: made.info.id })
    await expect.poll(() => [device.closes, phone.closes].flat(), { timeout: 10_000 }).toEqual([4003, 4003])
    void anyone
  })

  test('limits that mean nothing are refused', async () => {
    await using admin = relay.client()
    const create = (input: { role: 'admin' | 'orchestrator'; projects?: string[] }) =>
      admin.call.tokens.create.mutate({ name: 'odd', ...input })
    await expect(create({ role: 'admin', projects: ['shop'] })).rejects.toMatchObject(code('INVALID_INPUT'))
    await expect(create({ role: 'orchestrator', projects: ['shop'] })).rejects.toMatchObject(code('INVALID_INPUT'))
  })

  async function exchange(credential: object): Promise<{ token: string }> {
    const response = await fetch(`${relay.httpUrl}/trpc/auth.exchange`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(credential),
    })
    const body: { result: { data: { token: string } } } = JSON.parse(await response.text())
    return body.result.data
  }
})

describe('a token that changes while it is used (A-03, A-04)', () => {
  test('its socket closes with 4003, nothing comes after, and the next call is by the new rules', async () => {
    const { token, id } = await relay.token('operator')
    await using client = relay.client(token)
    await using admin = relay.client()
    const seen = watching(client)
    await seen.ready
    await admin.call.tokens.change.mutate({ tokenId: id, role: 'viewer', projects: ['shop'] })
    await expect.poll(() => client.closes, { timeout: 10_000 }).toContain(CLOSE_CODES.revoked)
    const before = seen.events.length
    await using again = relay.client(token)
    await expect(again.call.terminal.write.mutate({ sessionId: 'shop_first', data: 'x' })).rejects.toMatchObject(
      code('FORBIDDEN'),
    )
    await expect(again.call.projects.get.query({ projectId: 'secret' })).rejects.toMatchObject(code('NOT_FOUND'))
    await admin.call.tokens.change.mutate({ tokenId: id, projects: null })
    await using wider = relay.client(token)
    expect((await wider.call.projects.list.query()).length).toBe(3)
    expect(seen.events.slice(0, before)).toHaveLength(before)
  })

  test('a revoked one gets no answer to a call that is under way, and cannot resume', async () => {
    const { token, id } = await relay.token('operator')
    await using client = relay.client(token)
    let isAsked = false
    b.onDispatch(() => {
      isAsked = true // and never answered
    })
    const commandId = ulid()
    const outcome = client.call.commands.run
      .mutate({ commandId, command: 'custom', input: { projectId: 'blog' } })
      .then(
        () => 'answered',
        () => 'refused',
      )
    await expect.poll(() => isAsked, { timeout: 10_000 }).toBe(true)
    await relay.relay.services.tokens.revoke(id)
    await expect.poll(() => client.closes, { timeout: 10_000 }).toContain(CLOSE_CODES.revoked)
    await b.publish({ type: 'command_result', commandId, command: 'custom', output: {} })
    expect(await outcome).toBe('refused')
    const socket = await relay.socket({ token })
    const answer = new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))))
    const { journal } = relay.relay.services
    const params = { path: 'events.watch', lastEventId: `${journal.epoch}.1` }
    socket.send(JSON.stringify({ id: 1, method: 'subscription', params }))
    expect(await answer).toContain('UNAUTHORIZED')
    socket.terminate()
  })
})

/** Runs one for a project and answers its id. */
async function aCommandOf(projectId: string): Promise<string> {
  await using admin = relay.client()
  const commandId = ulid()
  await admin.call.commands.run.mutate({ commandId, command: 'list_sessions', input: { projectId } })
  return commandId
}
