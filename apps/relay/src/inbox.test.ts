import type { Question } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { aProject, aQuestion, aSession, FakeOrchestrator } from './test-support/fake-orchestrator.ts'
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

const here = { projects: [aProject('p')], sessions: [aSession('p', 's'), aSession('p', 't')] }
const answer = { optionId: 'once', by: { name: 'me', tokenId: 't' }, at: '2026-01-01T00:00:01.000Z' }
const listed = async (filter = {}) => (await client.call.inbox.list.query(filter)).map(({ id }) => id)

async function watch(of: TestClient, filter: { sessionId?: string; snapshot?: boolean }): Promise<{ type: string }[]> {
  const events: { type: string }[] = []
  await new Promise<void>((resolve, reject) => {
    of.call.events.watch.subscribe(filter, {
      onStarted: () => resolve(),
      onData: ({ data }) => events.push(data),
      onError: reject,
    })
  })
  return events
}

test('a question is listed, shown to watchers of its session and to new clients, until it is answered', async () => {
  await using fake = await FakeOrchestrator.connect(relay, here)
  const question = aQuestion(ulid(), 'p_s')
  const seen = await watch(client, { sessionId: 'p_s' })
  await fake.publish({ type: 'question_asked', question })
  expect(await listed()).toEqual([question.id])
  expect(await listed({ sessionId: 'p_t' })).toEqual([])
  await using late = relay.client()
  const snapshot = await watch(late, { sessionId: 'p_s', snapshot: true })
  await expect.poll(() => snapshot).toMatchObject([{ type: 'snapshot', questions: [{ id: question.id }] }])

  await fake.publish({ type: 'question_answered', question: { ...question, state: 'answered', answer } })
  expect(await listed()).toEqual([])
  expect(await listed({ state: 'answered' })).toEqual([question.id])
  await expect.poll(() => seen.map(({ type }) => type)).toEqual(['question_asked', 'question_answered'])
  expect(seen[0]).toMatchObject({ question: { id: question.id, orchestratorId: fake.id } })

  await fake.publish({ type: 'question_asked', question })
  expect(await listed(), 'what was on its way since before the answer changes nothing').toEqual([])
})

test('an answer goes to the machine that asked, with who gave it, also when there are two machines', async () => {
  const question = aQuestion(ulid(), 'p_s')
  await using fake = await FakeOrchestrator.connect(relay, { ...here, questions: [question] })
  await using _other = await FakeOrchestrator.connect(relay)
  fake.onDispatch((dispatch) => {
    if (dispatch.type !== 'run') return
    const { commandId, command, by } = dispatch
    const output: Question = { ...question, state: 'answered', answer: { ...answer, by } }
    fake
      .publish({ type: 'command_ack', commandId }, { type: 'command_result', commandId, command, output })
      .catch(() => undefined)
  })
  const operator = await relay.token('operator')
  await using person = relay.client(operator.token)
  const answered = await person.call.inbox.answer.mutate({ questionId: question.id, optionId: 'once', text: 'fine' })
  expect(answered).toMatchObject({ state: 'answered', answer: { by: { name: 'test operator', tokenId: operator.id } } })
  expect(fake.dispatched).toMatchObject([
    { command: 'answer_question', input: { questionId: question.id, optionId: 'once', text: 'fine' } },
  ])
  expect(await client.call.commands.list.query()).toMatchObject([{ sessionId: 'p_s', orchestratorId: fake.id }])
  await expect(client.call.inbox.answer.mutate({ questionId: ulid(), optionId: 'once' })).rejects.toMatchObject({
    data: { code: 'NOT_FOUND' },
  })
})

test('questions outlive the relay, and what a machine has settled meanwhile is settled when it is back', async () => {
  const [kept, gone, done] = [ulid(1), ulid(2), ulid(3)].map((id) => aQuestion(id, 'p_s'))
  if (kept === undefined || gone === undefined || done === undefined) throw new Error('three questions')
  const first = await FakeOrchestrator.connect(relay, { ...here, questions: [kept, gone, done] })
  await relay.relay.services.journal.settled()
  await first[Symbol.asyncDispose]()
  await client[Symbol.asyncDispose]()
  await relay.relay.close()
  const restarted = await TestRelay.start({ home: relay.home })
  try {
    client = restarted.client()
    expect(await listed()).toEqual([kept.id, gone.id, done.id])
    const seen = await watch(client, { sessionId: 'p_s' })
    const questions = [kept, aQuestion(done.id, 'p_s', { state: 'answered', answer })]
    await using _second = await FakeOrchestrator.connect(restarted, { ...here, id: first.id, questions })
    expect(await listed()).toEqual([kept.id])
    await expect
      .poll(() => seen.filter(({ type }) => type.startsWith('question_')))
      .toMatchObject([
        { type: 'question_withdrawn', question: { id: gone.id, state: 'withdrawn' } },
        { type: 'question_answered', question: { id: done.id } },
      ])
  } finally {
    await restarted[Symbol.asyncDispose]()
  }
})
