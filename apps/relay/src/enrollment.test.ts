import { CLOSE_CODES } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aProject, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { factsOf, TestHost } from './test-support/test-host.ts'
import { TestRelay } from './test-support/test-relay.ts'

let relay: TestRelay
beforeAll(async () => {
  relay = await TestRelay.start()
})
afterAll(() => relay[Symbol.asyncDispose]())

async function aCode(replaces?: string): Promise<string> {
  await using admin = relay.client()
  return (await admin.call.orchestrators.enroll.mutate({ name: 'builder', replaces })).code
}

async function anEnrolled(): Promise<{ host: TestHost; token: string; tokenId: string }> {
  const host = new TestHost()
  return { host, ...(await host.enroll(relay, await aCode())) }
}

const forbidden = { data: { code: 'FORBIDDEN' } }

async function audited(call: string): Promise<(string | undefined)[]> {
  return relay.relay.services.audit
    .list({ limit: 1_000 })
    .filter((record) => record.call === call)
    .map(({ outcome }) => outcome)
}

describe('joining with a code (A-08)', () => {
  test('the machine gets a token of its own, and is there', async () => {
    const { host, token, tokenId } = await anEnrolled()
    await using _machine = await FakeOrchestrator.connect(relay, { id: host.id, token, prove: host.prove })
    expect(relay.relay.services.fleet.isOnline(host.id)).toBe(true)
    const info = relay.relay.services.tokens.list().find(({ id }) => id === tokenId)
    expect(info).toMatchObject({ role: 'orchestrator', name: 'builder', orchestrators: [host.id] })
    expect(JSON.stringify(info)).not.toContain('publicKey')
  })

  test('a code works once, also when two race for it', async () => {
    const code = await aCode()
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => new TestHost().enroll(relay, code)))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expect(new TestHost().enroll(relay, code)).rejects.toMatchObject({ data: { code: 'UNAUTHORIZED' } })
  })

  test('a code that has expired works no more', async () => {
    const { token } = await relay.token('enroll', 30)
    await new Promise((resolve) => setTimeout(resolve, 60))
    await expect(new TestHost().enroll(relay, token)).rejects.toMatchObject({ data: { code: 'UNAUTHORIZED' } })
  })

  test('a code does nothing else', async () => {
    await using holder = relay.client(await aCode())
    await expect(holder.call.auth.whoami.query()).rejects.toMatchObject(forbidden)
    await expect(holder.call.orchestrator.challenge.query()).rejects.toMatchObject(forbidden)
  })

  test('one that was not signed with its own key is refused, and the code stays good', async () => {
    const code = await aCode()
    await using client = relay.client(code)
    const stolen = { ...new TestHost().enrollment(), orchestratorId: ulid() }
    await expect(client.call.orchestrator.enroll.mutate(stolen)).rejects.toMatchObject(forbidden)
    await expect(new TestHost().enroll(relay, code)).resolves.toBeDefined()
  })

  test('nobody becomes a machine that is known, but with a code for just that', async () => {
    const { host, token } = await anEnrolled()
    await using old = await FakeOrchestrator.connect(relay, { id: host.id, token, prove: host.prove })
    const heir = new TestHost({ id: host.id, machine: 'a new one' })
    await expect(heir.enroll(relay, await aCode())).rejects.toMatchObject({ data: { code: 'CONFLICT' } })
    const code = await aCode(host.id)
    await expect(new TestHost().enroll(relay, code)).rejects.toMatchObject(forbidden)
    const renewed = await heir.enroll(relay, code)
    await expect.poll(() => old.closes, { timeout: 10_000 }).toContain(CLOSE_CODES.revoked)
    await using _new = await FakeOrchestrator.connect(relay, { id: host.id, token: renewed.token, prove: heir.prove })
    await expect(FakeOrchestrator.connect(relay, { id: host.id, token, prove: host.prove })).rejects.toMatchObject({
      data: { code: 'UNAUTHORIZED' },
    })
  })
})

describe('being that machine (A-06, F-12)', () => {
  test('a stolen token is worth nothing without the key', async () => {
    const { host, token } = await anEnrolled()
    const { id } = host
    await using _machine = await FakeOrchestrator.connect(relay, { id, token, prove: host.prove })
    await expect(FakeOrchestrator.connect(relay, { id, token })).rejects.toMatchObject(forbidden)
    const thief = new TestHost({ id })
    await expect(FakeOrchestrator.connect(relay, { id, token, prove: thief.prove })).rejects.toMatchObject(forbidden)
    const replay = host.prove(id, 'a challenge of yesterday')
    await expect(FakeOrchestrator.connect(relay, { id, token, prove: () => replay })).rejects.toMatchObject(forbidden)
    expect(relay.relay.services.fleet.isOnline(id)).toBe(true)
  })

  test('nor does it speak for the machine that is connected, on whatever socket', async () => {
    const { host, token } = await anEnrolled()
    await using machine = await FakeOrchestrator.connect(relay, {
      id: host.id,
      token,
      prove: host.prove,
      projects: [aProject('held')],
      withStreams: true,
    })
    await using thief = relay.client(token)
    const { epoch } = machine
    const event = { type: 'project_removed', projectId: 'held' } as const
    await expect(thief.call.orchestrator.publish.mutate({ epoch, events: [{ seq: 99, event }] })).rejects.toMatchObject(
      forbidden,
    )
    const frames = [{ type: 'closed' as const, streamId: 'stream-1' }]
    await expect(thief.call.orchestrator.send.mutate({ epoch, frames })).rejects.toMatchObject(forbidden)
    const refusal = (subscribe: (handlers: { onError: (e: unknown) => void; onComplete: () => void }) => unknown) =>
      new Promise((resolve) => subscribe({ onError: resolve, onComplete: () => resolve('ended') }))
    const { commands, streams } = thief.call.orchestrator
    expect(await refusal((handlers) => commands.subscribe({ epoch }, handlers))).toMatchObject(forbidden)
    expect(await refusal((handlers) => streams.subscribe({ epoch }, handlers))).toMatchObject(forbidden)
    await machine.send(...frames) // its own second socket goes on
    expect(relay.relay.services.fleet.requireProject('held')).toBeDefined()
    await expect.poll(async () => await audited('orchestrator.publish')).toContain('FORBIDDEN')
  })

  test('the token of one machine registers no other and acts for no other; the attempts are kept', async () => {
    const a = await anEnrolled()
    const b = await anEnrolled()
    await using machineB = await FakeOrchestrator.connect(relay, { id: b.host.id, token: b.token, prove: b.host.prove })
    await expect(
      FakeOrchestrator.connect(relay, { id: b.host.id, token: a.token, prove: a.host.prove }),
    ).rejects.toMatchObject(forbidden)
    await using holderOfA = relay.client(a.token)
    const event = { type: 'command_ack', commandId: ulid() } as const
    await expect(
      holderOfA.call.orchestrator.publish.mutate({ epoch: machineB.epoch, events: [{ seq: 1, event }] }),
    ).rejects.toMatchObject(forbidden)
    await expect.poll(async () => await audited('orchestrator.register')).toContain('FORBIDDEN')
    expect(relay.relay.services.fleet.isOnline(b.host.id)).toBe(true)
  })

  test('a token of the role orchestrator belongs to the first machine that uses it', async () => {
    const { token } = await relay.token('orchestrator')
    const id = ulid()
    await using _first = await FakeOrchestrator.connect(relay, { id, token })
    await expect(FakeOrchestrator.connect(relay, { token })).rejects.toMatchObject(forbidden)
    const { host } = await anEnrolled()
    const { token: another } = await relay.token('orchestrator')
    await expect(FakeOrchestrator.connect(relay, { id: host.id, token: another })).rejects.toMatchObject(forbidden)
    await expect(FakeOrchestrator.connect(relay, { id: host.id })).rejects.toMatchObject(forbidden) // AUTH_TOKEN neither
  })

  test('a copy of its disk on another machine is refused, and the machine stays', async () => {
    const { host, token } = await anEnrolled()
    const { id } = host
    await using machine = await FakeOrchestrator.connect(relay, { id, token, prove: host.prove })
    const copy = (facts: ReturnType<typeof factsOf>) =>
      FakeOrchestrator.connect(relay, { id, token, prove: (of, challenge) => host.prove(of, challenge, facts) })
    await expect(copy(factsOf('the copy'))).rejects.toThrow(/--replace/)
    // The same installation on hardware that does not tell: two boots at once are two machines.
    const { installation } = host.facts
    const blind = { installation, boot: factsOf('the copy').boot }
    await expect(copy(blind)).rejects.toMatchObject({ data: { code: 'CONFLICT' } })
    expect(machine.closes).toEqual([])
    // The machine itself, started again, takes the place of its former self.
    await using again = await FakeOrchestrator.connect(relay, { id, token, prove: host.prove })
    await expect.poll(() => machine.closes, { timeout: 10_000 }).toContain(CLOSE_CODES.superseded)
    expect(again.epoch).toBeGreaterThan(machine.epoch)
  })

  test('a copy of its disk is refused while the machine is away, too', async () => {
    const { host, token } = await anEnrolled()
    const prove = (of: string, challenge: string) => host.prove(of, challenge, factsOf('the copy'))
    await expect(FakeOrchestrator.connect(relay, { id: host.id, token, prove })).rejects.toMatchObject(forbidden)
  })

  test('under AUTH_TOKEN a copy is refused while the machine is connected', async () => {
    const id = ulid()
    await using machine = await FakeOrchestrator.connect(relay, { id, host: { facts: factsOf('one') } })
    await expect(FakeOrchestrator.connect(relay, { id, host: { facts: factsOf('two') } })).rejects.toMatchObject(
      forbidden,
    )
    expect(machine.closes).toEqual([])
  })

  test('revoking its token closes its sockets', async () => {
    const { host, token, tokenId } = await anEnrolled()
    await using machine = await FakeOrchestrator.connect(relay, { id: host.id, token, prove: host.prove })
    await using admin = relay.client()
    await admin.call.tokens.revoke.mutate({ tokenId })
    await expect.poll(() => machine.closes, { timeout: 10_000 }).toContain(CLOSE_CODES.revoked)
    await expect.poll(() => relay.relay.services.fleet.isOnline(host.id), { timeout: 10_000 }).toBe(false)
  })
})
