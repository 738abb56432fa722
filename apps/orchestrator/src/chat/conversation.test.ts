import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChatEntry, ChatItem } from '@ai-orchestration/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../log.ts'
import { ChatStore } from './chat-store.ts'
import { Conversation } from './conversation.ts'
import type { FieldAnswer } from './form.ts'
import type { ConversationStart } from './opening.ts'
import type { PermissionDesk, PermissionQuestion, PersonQuestion } from './permission-desk.ts'
import { makePipe, onPipe, pipePaths, withPipe } from './pipe-files.ts'

const AGENT = fileURLToPath(new URL('./test-agent.mjs', import.meta.url))
const log = createLogger('silent')
let bundle: string
let desk: TestDesk
const agents: ChildProcess[] = []

/** A desk whose answers the test gives. */
class TestDesk implements PermissionDesk {
  readonly asked: PermissionQuestion[] = []
  readonly answers = new Map<string, { optionId: string } | 'gone'>()
  readonly #listeners = new Set<() => void>()
  ask(question: PermissionQuestion): string {
    if (!this.asked.some(({ key }) => key === question.key)) this.asked.push(question)
    return question.key
  }
  answerOf({ id }: { id: string }) {
    return this.answers.get(id)
  }
  readonly forms: PersonQuestion[] = []
  readonly formAnswers = new Map<string, FieldAnswer | 'gone'>()
  askPerson(question: PersonQuestion): string {
    this.forms.push(question)
    return question.key
  }
  answerOfPerson({ id }: { id: string }) {
    return this.formAnswers.get(id)
  }
  answerForm(id: string, answer: FieldAnswer): void {
    this.formAnswers.set(id, answer)
    for (const listener of this.#listeners) listener()
  }
  withdraw(id: string): void {
    this.answers.set(id, 'gone')
    this.formAnswers.set(id, 'gone')
  }
  onSettled(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  answer(id: string, optionId: string): void {
    this.answers.set(id, { optionId })
    for (const listener of this.#listeners) listener()
  }
}

beforeEach(async () => {
  bundle = await mkdtemp(join(tmpdir(), 'aio-chat-'))
  desk = new TestDesk()
})
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.kill('SIGKILL')
  await rm(bundle, { recursive: true, force: true })
})

const diaryOf = async () => await readFile(join(bundle, 'diary'), 'utf8').catch(() => '')

async function startAgent(
  run: string,
  ...features: string[]
): Promise<{ agent: ChildProcess; start: ConversationStart }> {
  const files = pipePaths(bundle)
  await makePipe(files)
  const argv = withPipe(files, onPipe([process.execPath, AGENT, join(bundle, 'diary'), ...features]))
  const [file = '', ...args] = argv
  const agent = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  agents.push(agent)
  return { agent, start: { run, files, cwd: '/project/shop_one', mode: { initial: 'auto', asking: 'ask' } } }
}

function open(): { conversation: Conversation; store: ChatStore; items: ChatItem[]; entries: () => ChatEntry[] } {
  const store = new ChatStore(pipePaths(bundle).store)
  const items: ChatItem[] = []
  const conversation = new Conversation({
    ...{ sessionId: 'shop_one', store, desk, log, now: () => new Date() },
    tell: (item) => items.push(item),
  })
  return { conversation, store, items, entries: () => store.before(undefined, 1_000) }
}

const until = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 10 })
const textsOf = (entries: ChatEntry[]) =>
  entries.map((entry) => ('text' in entry ? `${entry.type}: ${entry.text}` : entry.type))
const promptOf = (entries: ChatEntry[], id: string) =>
  entries.find((entry) => entry.type === 'prompt' && entry.id === id)

describe('a conversation', () => {
  it('joins the pieces of a message and works through its queue in order', async () => {
    const { start } = await startAgent('first')
    const { conversation, items, entries } = open()
    await conversation.begin(start)
    for (const [id, text] of Object.entries({ p1: 'say one two', p2: 'say three', p3: 'noise' }))
      conversation.prompt({ id, text, by: 'Ann' })
    conversation.prompt({ id: 'p1', text: 'say one two', by: 'Ann' })
    await until(() => expect(conversation.head).toMatchObject({ state: 'idle', queued: 0 }))
    expect(textsOf(entries())).toEqual([
      'prompt: say one two',
      'message: one two',
      'prompt: say three',
      'message: three',
      'prompt: noise',
    ])
    expect(promptOf(entries(), 'p1')).toMatchObject({ state: 'done', stopReason: 'end_turn', by: 'Ann' })
    expect(rebuilt(items)).toEqual(entries())
    expect((await diaryOf()).match(/^prompt/gm)).toHaveLength(3)
    await conversation[Symbol.asyncDispose]()
  })

  it('asks a person once, waits over the end of this process, and hands the answer over', async () => {
    const { start } = await startAgent('first')
    const before = open()
    await before.conversation.begin(start)
    before.conversation.prompt({ id: 'p1', text: 'ask rm -rf build', by: 'Ann' })
    await until(() => expect(before.conversation.head.state).toBe('needs_input'))
    expect(desk.asked).toMatchObject([{ sessionId: 'shop_one', call: { title: 'rm -rf build' } }])
    const tool = before.entries().find(({ type }) => type === 'tool')
    expect(tool).toMatchObject({ title: 'rm -rf build', questionId: desk.asked[0]?.key, status: 'pending' })
    await before.conversation[Symbol.asyncDispose]()

    // Answered while nobody is here.
    desk.answer(desk.asked[0]?.key ?? '', 'yes')
    const after = open()
    await after.conversation.begin(start)
    await until(() => expect(after.conversation.head.state).toBe('idle'))
    expect(textsOf(after.entries()).at(-1)).toBe('message: chosen yes')
    expect(desk.asked).toHaveLength(1)
    expect((await diaryOf()).match(/^outcome/gm)).toHaveLength(1)
    expect((await diaryOf()).match(/^(initialize|session\/new)/gm)).toHaveLength(2)
    await after.conversation[Symbol.asyncDispose]()
  })

  it('takes in what the agent said while nobody listened, without a hole or a repetition', async () => {
    const { start } = await startAgent('first')
    const before = open()
    await before.conversation.begin(start)
    before.conversation.prompt({ id: 'p1', text: 'flood 3000', by: 'Ann' })
    await until(() => expect(before.items.length).toBeGreaterThan(5))
    // As kill -9 would: nothing more is written.
    before.store.flush = () => undefined
    await before.conversation[Symbol.asyncDispose]()
    const after = open()
    await after.conversation.begin(start)
    await until(() => expect(after.conversation.head.state).toBe('idle'))
    const messages = after.entries().filter(({ type }) => type === 'message')
    expect(messages).toHaveLength(1)
    expect(messages[0]).toMatchObject({ text: 'x'.repeat(200_000), omittedChars: 2_800_000 })
    expect((await diaryOf()).match(/^prompt/gm)).toHaveLength(1)
    await after.conversation[Symbol.asyncDispose]()
  })

  it.each([
    ['resume', 'session/resume'],
    ['load', 'session/load'],
    ['none', 'session/new'],
  ])('goes on with an agent that was started again and can %s', async (feature, method) => {
    const first = await startAgent('first', feature)
    const { conversation, entries } = open()
    await conversation.begin(first.start)
    conversation.prompt({ id: 'p1', text: 'say remember me', by: 'Ann' })
    await until(() => expect(conversation.head.state).toBe('idle'))
    conversation.prompt({ id: 'p2', text: 'die', by: 'Ann' })
    conversation.prompt({ id: 'p3', text: 'say later', by: 'Ann' })
    await once(first.agent, 'exit')
    await conversation.end()
    expect(conversation.head.state).toBe('ended')
    expect(promptOf(entries(), 'p2')).toMatchObject({ state: 'failed' })
    expect(() => conversation.prompt({ id: 'p4', text: 'say no', by: 'Ann' })).toThrow(/has ended/)

    const second = await startAgent('second', feature)
    await conversation.begin(second.start)
    await until(() => expect(promptOf(entries(), 'p3')).toMatchObject({ state: 'done' }))
    expect((await diaryOf()).split('\n').findLast((line) => line.startsWith('session/'))).toContain(method)
    const lastPrompt = (await diaryOf()).split('\n').findLast((line) => line.startsWith('prompt')) ?? ''
    expect(lastPrompt.includes('remember me')).toBe(feature === 'none')
    expect(textsOf(entries()).join('\n')).not.toContain('an echo of the past')
    await conversation[Symbol.asyncDispose]()
  })

  it('cancels what waits and what runs, with its question', async () => {
    const { start } = await startAgent('first')
    const { conversation, entries } = open()
    await conversation.begin(start)
    conversation.prompt({ id: 'p1', text: 'ask for it', by: 'Ann' })
    conversation.prompt({ id: 'p2', text: 'say never', by: 'Ann' })
    await until(() => expect(conversation.head.state).toBe('needs_input'))
    expect(conversation.cancel('p2')).toBe('prevented')
    expect(conversation.cancel()).toBe('stopping')
    await until(() => expect(conversation.head.state).toBe('idle'))
    expect(conversation.cancel('p1')).toBe('too-late')
    expect(desk.answers.get(desk.asked[0]?.key ?? '')).toBe('gone')
    expect(promptOf(entries(), 'p1')).toMatchObject({ state: 'cancelled' })
    expect(promptOf(entries(), 'p2')).toMatchObject({ state: 'cancelled' })
    expect(textsOf(entries()).join()).not.toContain('message: never')
    await conversation[Symbol.asyncDispose]()
  })

  it('asks what the agent itself asks, field by field, and goes on after another process took over', async () => {
    const { start } = await startAgent('first')
    const before = open()
    await before.conversation.begin(start)
    before.conversation.prompt({ id: 'p1', text: 'form Which one?', by: 'Ann' })
    await until(() => expect(before.conversation.head.state).toBe('needs_input'))
    const [colour, sure] = desk.forms
    expect(colour).toMatchObject({ choices: ['RED', 'BLUE'], takesText: true, text: 'Which one? Colour' })
    expect(sure).toMatchObject({ choices: ['Yes', 'No'], takesText: false })
    desk.answerForm(colour?.key ?? '', { choice: 1, text: 'but dark' })
    expect(before.conversation.head.state).toBe('needs_input')
    await before.conversation[Symbol.asyncDispose]()
    const after = open()
    await after.conversation.begin(start)
    desk.answerForm(sure?.key ?? '', { choice: 1 })
    await until(() => expect(after.conversation.head.state).toBe('idle'))
    expect(await diaryOf()).toContain(
      'form {"action":"accept","content":{"question_0":"blue","question_0_custom":"but dark","sure":false}}',
    )
    after.conversation.prompt({ id: 'p2', text: 'form Skip this', by: 'Ann' })
    await until(() => expect(desk.forms).toHaveLength(4))
    for (const { key } of desk.forms.slice(2)) desk.answerForm(key, {})
    await until(async () => expect(await diaryOf()).toContain('form {"action":"decline"}'))
    after.conversation.prompt({ id: 'p3', text: 'form Cancel this', by: 'Ann' })
    await until(() => expect(desk.forms).toHaveLength(6))
    after.conversation.cancel()
    await until(async () => expect(await diaryOf()).toContain('form {"action":"cancel"}'))
    await after.conversation[Symbol.asyncDispose]()
  })

  it('takes no prompts when the agent could not begin, and says why', async () => {
    const { start } = await startAgent('first', 'locked')
    const { conversation, entries } = open()
    await conversation.begin(start)
    await until(() => expect(entries().at(-1)).toMatchObject({ type: 'notice', level: 'error' }))
    expect(textsOf(entries()).at(-1)).toContain('Authentication required')
    expect(conversation.head.state).toBe('ended')
    expect(() => conversation.prompt({ id: 'p1', text: 'say it', by: 'Ann' })).toThrow(/aio sessions restart shop_one/)
    await conversation[Symbol.asyncDispose]()
  })

  it('keeps asking after a person has made it ask, and never begins with less than it was given', async () => {
    const first = await startAgent('first', 'resume')
    const { conversation } = open()
    await conversation.begin({ ...first.start, mode: { initial: 'auto', asking: 'ask' } })
    await until(() => expect(conversation.head.state).toBe('idle'))
    expect(() => conversation.setOption('aio:mode', 'nonsense')).toThrow(/no setting/)
    conversation.setOption('aio:mode', 'ask')
    await until(async () => expect(await diaryOf()).toContain('"modeId":"ask"'))
    first.agent.kill()
    await once(first.agent, 'exit')
    await conversation.end()
    const second = await startAgent('second')
    await conversation.begin({ ...second.start, mode: { initial: 'auto', asking: 'ask' } })
    await until(() => expect(conversation.head.state).toBe('idle'))
    expect(conversation.head.options.find(({ category }) => category === 'mode')).toMatchObject({ value: 'ask' })
    await conversation[Symbol.asyncDispose]()
  })
})

/** What a client makes of the items. */
function rebuilt(items: ChatItem[]): ChatEntry[] {
  const entries = new Map<string, ChatEntry>()
  for (const item of items) {
    if (item.type === 'entry') entries.set(item.entry.id, item.entry)
    if (item.type !== 'append') continue
    const entry = entries.get(item.id)
    if (entry !== undefined && 'text' in entry) entries.set(item.id, { ...entry, text: entry.text + item.text })
  }
  return [...entries.values()].sort((a, b) => a.order - b.order)
}
