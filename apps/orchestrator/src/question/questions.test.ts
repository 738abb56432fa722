import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS, type OrchestratorEvent } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../journal/journal.ts'
import { type QuestionDraft, Questions } from './questions.ts'
import { Rules } from './rules.ts'

const log = pino({ level: 'silent' })
const me = { name: 'me', tokenId: 't1' }
const forever = new AbortController().signal
const draft: QuestionDraft = {
  kind: 'egress',
  sessionId: 'p_s',
  projectId: 'p',
  title: 'May it reach host.example?',
  detail: { host: 'host.example', port: 443, protocol: 'https' },
  options: [
    { id: 'once', label: 'Once', style: 'allow' },
    { id: 'project', label: 'For the project', style: 'allow', always: 'project' },
    { id: 'deny-session', label: 'Not in this session', style: 'deny', always: 'session' },
    { id: 'deny', label: 'No', style: 'deny' },
  ],
}
const match = { kind: 'egress', host: 'host.example', port: 443 } as const

let dir: string
let journal: Journal
let rules: Rules
let questions: Questions
const projects = { list: () => [{ id: 'p' }], paths: (id: string) => ({ dir: join(dir, id) }) }

async function open(): Promise<void> {
  journal = await Journal.open({ path: join(dir, 'journal.db'), log })
  rules = await Rules.open({ projects, log })
  questions = new Questions({
    journal,
    rules,
    log,
    orchestratorId: '01J00000000000000000000000',
    kept: journal.content.questions,
  })
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-q-'))
  await mkdir(join(dir, 'p'))
  await open()
})
afterEach(async () => {
  questions[Symbol.dispose]()
  await journal[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

describe('Questions', () => {
  it('are answered once, whoever is second, and wake those that wait', async () => {
    const events: OrchestratorEvent[] = []
    questions.onChange((event) => events.push(event))
    const { id } = questions.ask(draft)
    const waiting = questions.settled(id, forever)
    const answers = await Promise.allSettled([
      questions.answer({ questionId: id, optionId: 'once' }, me),
      questions.answer({ questionId: id, optionId: 'deny' }, { name: 'you' }),
    ])
    expect(answers).toMatchObject([
      { status: 'fulfilled', value: { state: 'answered', answer: { optionId: 'once', by: me } } },
      { status: 'rejected', reason: { code: 'CONFLICT', message: expect.stringContaining('answered by me') } },
    ])
    expect(await waiting).toMatchObject({ answer: { optionId: 'once' } })
    await expect(questions.answer({ questionId: id, optionId: 'once' }, me)).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { answer: { optionId: 'once' } },
    })
    expect(events.map(({ type }) => type)).toEqual(['question_asked', 'question_answered'])
  })

  it('refuse an option that they do not have, and wait on', async () => {
    const { id } = questions.ask(draft)
    await expect(questions.answer({ questionId: id, optionId: 'maybe' }, me)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect(questions.get(id)?.state).toBe('pending')
  })

  it('wait over the end of the process without a word, and stay answered over the next', async () => {
    const kept = questions.ask(draft)
    const done = questions.ask({ ...draft, sessionId: 'p_t' })
    await questions.answer({ questionId: done.id, optionId: 'deny' }, me)
    // Nothing is closed: what a killed process leaves is what is on the disk now.
    const before = [journal, questions] as const
    await open()
    expect(questions.list()).toMatchObject([
      { id: kept.id, state: 'pending' },
      { id: done.id, state: 'answered', answer: { optionId: 'deny', by: me } },
    ])
    await questions.answer({ questionId: kept.id, optionId: 'project' }, me)
    expect(rules.find('p_any', match)).toMatchObject({ verdict: 'allow', by: me, questionId: kept.id })
    before[1][Symbol.dispose]()
    await before[0][Symbol.asyncDispose]()
  })

  it('expire only when they are told to', async () => {
    const soon = questions.ask({ ...draft, expiresInMs: 20 })
    const never = questions.ask({ ...draft, sessionId: 'p_t' })
    expect(await questions.settled(soon.id, forever)).toMatchObject({ state: 'expired' })
    await expect(questions.answer({ questionId: soon.id, optionId: 'once' }, me)).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(questions.get(never.id)?.state).toBe('pending')
  })

  it('are withdrawn, and limited in number and size', async () => {
    const all = Array.from({ length: LIMITS.questionsPerSessionMax }, () => questions.ask(draft))
    expect(() => questions.ask(draft)).toThrow(/wait/)
    expect(() => questions.ask({ ...draft, sessionId: 'p_t', title: 'x'.repeat(501) })).toThrow(/not valid/)
    questions.withdraw(({ sessionId }) => sessionId === 'p_s')
    expect(questions.list().every(({ state }) => state === 'withdrawn')).toBe(true)
    expect(await questions.settled(all.at(-1)?.id ?? '', forever)).toMatchObject({ state: 'withdrawn' })
  })
})

describe('Rules', () => {
  it('hold for their session or project until they are revoked, the closer one first, also after a restart', async () => {
    await rules.add({ sessionId: 'p_s', scope: 'project', match, verdict: 'allow', by: me })
    const own = await rules.add({ sessionId: 'p_s', scope: 'session', match, verdict: 'deny', by: me })
    rules = await Rules.open({ projects, log })
    expect([rules.find('p_s', match)?.verdict, rules.find('p_t', match)?.verdict]).toEqual(['deny', 'allow'])
    expect(rules.find('p_s', { ...match, port: 80 })).toBeUndefined()
    await rules.revoke('p', own.id)
    expect(rules.find('p_s', match)?.verdict).toBe('allow')
    await expect(rules.revoke('p', own.id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await rules.add({ sessionId: 'p_s', scope: 'session', match, verdict: 'deny', by: me })
    await rules.forgetSession('p_s')
    expect(rules.list({ sessionId: 'p_s' })).toHaveLength(1)
  })

  it('allow nothing when their file is damaged, and keep it', async () => {
    await writeFile(join(dir, 'p/rules.json'), '{"version":1,"rules":[{')
    rules = await Rules.open({ projects, log })
    expect(rules.list()).toEqual([])
    expect(await readFile(join(dir, 'p/rules.json.damaged'), 'utf8')).toContain('rules')
  })
})
