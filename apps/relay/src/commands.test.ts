import { type Command, type Dispatch, type OrchestratorEvent, VERSION } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { aProject, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { type TestClient, TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
let client: TestClient
beforeEach(async () => {
  relay = await TestRelay.start()
  client = relay.client()
})
afterEach(async () => {
  await client[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
})

/** An orchestrator that answers every command with its output at once. */
function answering(fake: FakeOrchestrator, outputOf: (dispatch: Dispatch & { type: 'run' }) => unknown): void {
  fake.onDispatch((dispatch) => {
    if (dispatch.type !== 'run') return
    const { commandId, command } = dispatch
    const ending: OrchestratorEvent = { type: 'command_result', commandId, command, output: outputOf(dispatch) }
    fake.publish({ type: 'command_ack', commandId }, ending).catch(() => undefined)
  })
}

const stateOf = async (commandId: string) => (await client.call.commands.get.query({ commandId })).state
const failing = (code: string) => ({ data: { code } })

describe('a command', () => {
  test('goes to the orchestrator and its answer comes back, with events on the way', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    const seen: string[] = []
    await new Promise<void>((resolve) => {
      client.call.events.watch.subscribe(
        { projectId: 'web' },
        { onStarted: () => resolve(), onData: ({ data }) => seen.push(data.type) },
      )
    })
    answering(fake, () => aProject('web', fake.id))
    const project = await client.call.projects.create.mutate({ name: 'web' })
    expect(project).toMatchObject({ id: 'web', orchestratorId: fake.id })
    expect(await client.call.projects.get.query({ projectId: 'web' })).toMatchObject({ id: 'web' })
    await expect.poll(() => seen).toEqual(['command_request', 'command_ack', 'project_updated', 'command_result'])
    expect(fake.dispatched).toMatchObject([{ type: 'run', input: { name: 'web' }, by: { isAdmin: true } }])
  })

  test('of the same id runs once for fifty who ask at once, and conflicts with other content (C-3, F-13)', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    const commandId = ulid()
    const request = { commandId, command: 'custom', input: { a: 1, b: 2 } }
    await using other = relay.client()
    const asked = [client, other].flatMap(({ call }) =>
      Array.from({ length: 25 }, () => call.commands.run.mutate(request)),
    )
    await expect.poll(() => fake.dispatched.length).toBe(1)
    await expect(client.call.commands.run.mutate({ ...request, input: { a: 2 } })).rejects.toMatchObject(
      failing('CONFLICT'),
    )
    // The order of keys is not content.
    asked.push(client.call.commands.run.mutate({ ...request, input: { b: 2, a: 1 } }))
    await fake.publish({ type: 'command_result', commandId, command: 'custom', output: { n: 7 } })
    const answers = await Promise.all(asked)
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(answers[0]).toMatchObject({ state: 'succeeded', output: { n: 7 } })
    expect(await client.call.commands.run.mutate(request)).toEqual(answers[0])
    expect(fake.dispatched).toHaveLength(1)
  })

  test('that fails is a state for commands.run and an error for a typed mutation', async () => {
    await using fake = await FakeOrchestrator.connect(relay, { projects: [aProject('p')] })
    fake.onDispatch((dispatch) => {
      if (dispatch.type !== 'run') return
      const error = { code: 'WORK_AT_RISK' as const, message: 'One file would be lost.', details: { files: ['a'] } }
      const { commandId, command } = dispatch
      fake.publish({ type: 'command_error', commandId, command, state: 'failed', error }).catch(() => undefined)
    })
    await expect(client.call.projects.delete.mutate({ projectId: 'p' })).rejects.toMatchObject({
      message: 'One file would be lost.',
      data: { code: 'WORK_AT_RISK', details: { files: ['a'] } },
    })
    const commandId = ulid()
    expect(
      await client.call.commands.run.mutate({ commandId, command: 'delete_project', input: { projectId: 'p' } }),
    ).toMatchObject({ state: 'failed', error: { code: 'WORK_AT_RISK' }, projectId: 'p' })
  })

  test('with a wrong input is refused at the relay, and a wrong output is INVALID_OUTPUT', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    const run = (command: string, input: unknown) =>
      client.call.commands.run.mutate({ commandId: ulid(), command, input })
    for (const input of [{ name: '../etc' }, { name: 'ok', extra: 1 }, { repoUrl: 'ext::sh -c x' }, null, 'x'])
      await expect(run('create_project', input)).rejects.toMatchObject(failing('INVALID_INPUT'))
    await expect(run('no_such_command', {})).rejects.toMatchObject(failing('UNKNOWN_COMMAND'))
    expect(fake.dispatched).toHaveLength(0)
    answering(fake, () => ({ id: 'not a project' }))
    expect(await run('create_project', { name: 'web' })).toMatchObject({
      state: 'failed',
      error: { code: 'INVALID_OUTPUT' },
    })
  })

  test('that clones a local path is for admins only', async () => {
    await using _fake = await FakeOrchestrator.connect(relay)
    await using operator = relay.client((await relay.token('operator')).token)
    for (const repoUrl of ['/etc', 'file:///etc'])
      await expect(operator.call.projects.create.mutate({ name: 'x', repoUrl })).rejects.toMatchObject(
        failing('FORBIDDEN'),
      )
  })

  test('is said twice by the orchestrator and counts once', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    const commandId = ulid()
    const running = client.call.commands.run.mutate({ commandId, command: 'custom', input: {} })
    await expect.poll(() => fake.dispatched.length).toBe(1)
    const progress: OrchestratorEvent = { type: 'command_progress', commandId, progress: 50 }
    const before = relay.relay.services.journal.head
    await fake.publishAt(1, progress)
    await fake.publishAt(1, progress)
    expect(relay.relay.services.journal.head - before).toBe(1)
    await fake.publish({ type: 'command_result', commandId, command: 'custom', output: 1 })
    await fake.publish({
      type: 'command_error',
      commandId,
      command: 'custom',
      state: 'failed',
      error: { code: 'EXEC_ERROR', message: '' },
    })
    expect((await running).state).toBe('succeeded')
    expect(await stateOf(commandId)).toBe('succeeded')
  })

  test('cannot be answered by another orchestrator', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    await using other = await FakeOrchestrator.connect(relay)
    const commandId = ulid()
    const running = client.call.commands.run.mutate({
      commandId,
      command: 'custom',
      input: {},
      orchestratorId: fake.id,
    })
    await expect.poll(() => fake.dispatched.length).toBe(1)
    await other.publish({ type: 'command_result', commandId, command: 'custom', output: 'forged' })
    await fake.publish({ type: 'command_result', commandId, command: 'custom', output: 'true' })
    expect((await running).output).toBe('true')
  })

  test('can be cancelled before it starts, while it runs, and not after (C-8)', async () => {
    const first = await FakeOrchestrator.connect(relay)
    await first[Symbol.asyncDispose]()
    await expect.poll(() => relay.relay.services.fleet.onlineCount()).toBe(0)
    const commandId = ulid()
    const waiting = client.call.commands.run.mutate({ commandId, command: 'custom', input: {}, ttlMs: 60_000 })
    await expect.poll(() => stateOf(commandId).catch(() => undefined)).toBe('accepted')
    expect(await client.call.commands.cancel.mutate({ commandId })).toEqual({ outcome: 'prevented' })
    expect((await waiting).state).toBe('cancelled')

    await using fake = await FakeOrchestrator.connect(relay, { id: first.id })
    const second = ulid()
    const running = client.call.commands.run.mutate({ commandId: second, command: 'custom', input: {} })
    await expect.poll(() => fake.dispatched.length).toBe(1)
    expect(await client.call.commands.cancel.mutate({ commandId: second })).toEqual({ outcome: 'stopping' })
    await expect.poll(() => fake.dispatched.at(-1)).toEqual({ type: 'cancel', commandId: second })
    const error = { code: 'CANCELLED' as const, message: 'stopped' }
    await fake.publish({ type: 'command_error', commandId: second, command: 'custom', state: 'cancelled', error })
    expect((await running).state).toBe('cancelled')
    expect(await client.call.commands.cancel.mutate({ commandId: second })).toEqual({ outcome: 'too-late' })
  })
})

describe('an orchestrator that is away', () => {
  test('gives an error that says what to do, and a command with a time to live waits and expires (C-7)', async () => {
    await expect(client.call.projects.create.mutate({ name: 'x' })).rejects.toMatchObject(
      failing('ORCHESTRATOR_NOT_FOUND'),
    )
    const fake = await FakeOrchestrator.connect(relay, { projects: [aProject('p')], sessions: [aSession('p', 's')] })
    await fake[Symbol.asyncDispose]()
    await expect.poll(async () => (await client.call.orchestrators.list.query())[0]?.state).toBe('offline')
    await expect(client.call.projects.create.mutate({ name: 'x' })).rejects.toThrow(/aio orchestrator/)
    await expect(client.call.projects.delete.mutate({ projectId: 'p' })).rejects.toMatchObject(
      failing('ORCHESTRATOR_OFFLINE'),
    )
    // What is known of it stays to be seen.
    expect(await client.call.sessions.get.query({ sessionId: 'p_s' })).toMatchObject({ id: 'p_s' })
    const ended = await client.call.commands.run.mutate({ commandId: ulid(), command: 'custom', input: {}, ttlMs: 100 })
    expect(ended).toMatchObject({ state: 'expired', error: { code: 'EXPIRED' } })
  })

  test('leaves what it began unknown; back again, each command is resolved (C-5, C-6)', async () => {
    const first = await FakeOrchestrator.connect(relay)
    const ids = { unacked: ulid(), running: ulid(), ended: ulid(), lost: ulid() }
    const results: Promise<Command>[] = Object.values(ids).map(
      (commandId) =>
        client.call.commands.run.mutate({ commandId, command: 'custom', input: { commandId } }) as Promise<Command>,
    )
    await expect.poll(() => first.dispatched.length).toBe(4)
    for (const commandId of [ids.running, ids.ended, ids.lost]) await first.publish({ type: 'command_ack', commandId })
    await first[Symbol.asyncDispose]()
    for (const commandId of Object.values(ids)) await expect.poll(() => stateOf(commandId)).toBe('unknown')

    await using back = await FakeOrchestrator.connect(relay, {
      id: first.id,
      known: [
        { commandId: ids.running, state: 'running' },
        { commandId: ids.ended, state: 'succeeded' },
      ],
    })
    // The end that was said to be known may have been taken once and lost here since: it is asked for, as what is not named is.
    await expect
      .poll(() => back.dispatched.map(({ type, commandId }) => `${type} ${commandId}`))
      .toEqual([`run ${ids.unacked}`, `tell ${ids.ended}`, `tell ${ids.lost}`])
    expect(await stateOf(ids.running)).toBe('running')
    expect(await stateOf(ids.lost)).toBe('unknown')
    const error = { code: 'INTERRUPTED' as const, message: 'It is not on record.' }
    await back.publish({
      type: 'command_error',
      commandId: ids.lost,
      command: 'custom',
      state: 'interrupted',
      error,
    })
    for (const commandId of [ids.ended, ids.running, ids.unacked])
      await back.publish({ type: 'command_result', commandId, command: 'custom', output: null })
    expect((await Promise.all(results)).map(({ state }) => state)).toEqual([
      'succeeded',
      'succeeded',
      'succeeded',
      'interrupted',
    ])
  })
})

describe('the link with an orchestrator', () => {
  test('a second connection of the same one supersedes the first (C-9)', async () => {
    const headers = { 'x-aio-role': 'orchestrator' }
    await using watcher = relay.client()
    const seen: string[] = []
    await new Promise<void>((resolve) => {
      watcher.call.events.watch.subscribe(
        {},
        {
          onStarted: () => resolve(),
          onData: ({ data }) => seen.push(data.type === 'orchestrator_left' ? data.reason : data.type),
        },
      )
    })
    const first = await FakeOrchestrator.connect(relay)
    await using second = await FakeOrchestrator.connect(relay, { id: first.id })
    expect(second.epoch).toBeGreaterThan(first.epoch)
    await expect.poll(() => seen).toEqual(['orchestrator_joined', 'superseded', 'orchestrator_joined'])
    await using late = relay.client(undefined, { headers })
    const event: OrchestratorEvent = { type: 'project_updated', project: aProject('p', first.id) }
    await expect(
      late.call.orchestrator.publish.mutate({ epoch: first.epoch, events: [{ seq: 1, event }] }),
    ).rejects.toMatchObject(failing('CONFLICT'))
    expect(await client.call.projects.list.query()).toEqual([])
    await first[Symbol.asyncDispose]()
    // The old connection's end takes nothing from the new one.
    expect(await client.call.orchestrators.list.query()).toMatchObject([{ state: 'online' }])
  })

  test('another token cannot act under its epoch or take its id while it is online (A-06)', async () => {
    await using fake = await FakeOrchestrator.connect(relay)
    const { token } = await relay.token('orchestrator')
    await using rogue = relay.client(token, { headers: { 'x-aio-role': 'orchestrator' } })
    const event: OrchestratorEvent = { type: 'project_removed', projectId: 'p' }
    await expect(
      rogue.call.orchestrator.publish.mutate({ epoch: fake.epoch, events: [{ seq: 1, event }] }),
    ).rejects.toMatchObject(failing('FORBIDDEN'))
    await expect(FakeOrchestrator.connect(relay, { id: fake.id, token })).rejects.toMatchObject(failing('FORBIDDEN'))
  })

  test('another version of the agreement is refused', async () => {
    await expect(FakeOrchestrator.connect(relay, { linkVersion: 99 })).rejects.toMatchObject({
      message: expect.stringContaining(VERSION),
      ...failing('UPGRADE_REQUIRED'),
    })
  })

  test('a project name belongs to who had it first; the other is conflicted until it is free', async () => {
    await using first = await FakeOrchestrator.connect(relay, { projects: [aProject('web')] })
    await using second = await FakeOrchestrator.connect(relay, { projects: [aProject('web')] })
    const conflicts = async () =>
      (await client.call.projects.list.query()).map((project) => [
        project.orchestratorId,
        project.isConflicted ?? false,
      ])
    expect(await conflicts()).toEqual([
      [first.id, false],
      [second.id, true],
    ])
    await expect(client.call.projects.create.mutate({ name: 'web', orchestratorId: second.id })).rejects.toMatchObject(
      failing('CONFLICT'),
    )
    await first.publish({ type: 'project_removed', projectId: 'web' })
    expect(await conflicts()).toEqual([[second.id, false]])
  })

  test('with two online, a new project says which', async () => {
    await using _first = await FakeOrchestrator.connect(relay, { name: 'one' })
    await using second = await FakeOrchestrator.connect(relay, { name: 'two' })
    await expect(client.call.projects.create.mutate({ name: 'x' })).rejects.toThrow(/one, two.*orchestratorId/)
    answering(second, () => aProject('x', second.id))
    await client.call.projects.create.mutate({ name: 'x', orchestratorId: second.id })
  })
})
