import type { Scope } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { aProject, aSession, FakeOrchestrator } from '../test-support/fake-orchestrator.ts'
import { TestRelay } from '../test-support/test-relay.ts'
import { procedure, router } from './trpc.ts'

/** Procedures as someone adds them who has not thought of limited tokens. */
const later = router({
  show: procedure('viewer')
    .input(z.unknown())
    .query(() => 'shown'),
  careful: procedure('viewer', { handlesScope: true })
    .input(z.unknown())
    .query(() => 'shown'),
})

let relay: TestRelay
let machine: FakeOrchestrator
beforeAll(async () => {
  relay = await TestRelay.start()
  machine = await FakeOrchestrator.connect(relay, {
    projects: [aProject('shop'), aProject('secret')],
    sessions: [aSession('shop', 'first'), aSession('secret', 'plan')],
  })
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
})

function outcome(scope: Scope, input: unknown, path: 'show' | 'careful' = 'show'): Promise<string> {
  const ctx: Context = {
    services: relay.relay.services,
    peer: undefined,
    address: '127.0.0.1',
    authenticate: () => ({ tokenId: 'some', name: 'some', roles: ['viewer'], ...scope }),
    requestId: () => '1',
  }
  return later
    .createCaller(ctx)
    [path](input)
    .catch((error: { cause?: { code?: string } }) => String(error.cause?.code))
}

const shop = { projects: ['shop'] }

test.each<[string, Scope, unknown, string]>([
  ['without limits', {}, undefined, 'shown'],
  ['for a project in scope', shop, { projectId: 'shop' }, 'shown'],
  ['for a session in scope', shop, { sessionId: 'shop_first' }, 'shown'],
  ['for another project', shop, { projectId: 'secret' }, 'NOT_FOUND'],
  ['for a session of another project', shop, { sessionId: 'secret_plan' }, 'NOT_FOUND'],
  ['when one of two is out of scope', shop, { projectId: 'shop', sessionId: 'secret_plan' }, 'NOT_FOUND'],
  ['when nothing is named', shop, {}, 'FORBIDDEN'],
  ['when there is no input', shop, undefined, 'FORBIDDEN'],
  ['when what is named is no name', shop, { projectId: 7 }, 'FORBIDDEN'],
  ['on another machine', { orchestrators: ['01JD000000000000000000BENC'] }, { projectId: 'shop' }, 'NOT_FOUND'],
])('a procedure that does not mind the scope, %s', async (_, scope, input, expected) => {
  expect(await outcome(scope, input)).toBe(expected)
})

test('a machine as a whole is for tokens without limited projects', async () => {
  const input = { orchestratorId: machine.id }
  expect(await outcome({ orchestrators: [machine.id] }, input)).toBe('shown')
  expect(await outcome(shop, input)).toBe('FORBIDDEN')
})

test('one that says it minds the scope is asked', async () => expect(await outcome(shop, {}, 'careful')).toBe('shown'))
