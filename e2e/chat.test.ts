import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Chat } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Platform, startPlatform, until } from './harness/platform.ts'

const AGENT = join(import.meta.dirname, '../apps/orchestrator/src/chat/test-agent.mjs')
const AGENTS = `
[scripted]
name = "Scripted"
argv = ["sh"]
[scripted.chat]
argv = ["node", "/opt/agents/test-agent.mjs", "/home/agent/diary", "resume"]
mode = { allow = "auto", ask = "ask" }
`
let platform: Platform

beforeAll(async () => {
  // An agent by configuration alone.
  platform = await startPlatform({}, async (aioHome) => {
    await mkdir(join(aioHome, 'agents'))
    await copyFile(AGENT, join(aioHome, 'agents/test-agent.mjs'))
    await writeFile(join(aioHome, 'agents.toml'), AGENTS)
  })
  await platform.json('projects', 'create', 'shop')
})
afterAll(async () => await platform?.[Symbol.asyncDispose]())

async function untilOnline(): Promise<void> {
  await until(async () => (await platform.health())?.orchestrators === 1, 30_000)
}

/** Reads on until something holds of what was read. */
async function readUntil(chat: Chat, holds: (view: Chat['view']) => boolean): Promise<void> {
  while (!chat.view.isLive || !holds(chat.view)) {
    const item = await chat.next()
    if (item.done) throw new Error('the chat ended')
  }
}

describe('a chat with an agent', () => {
  it('streams an answer, and asks by the inbox what any client may answer', { timeout: 60_000 }, async () => {
    await using client = platform.client()
    await client.sessions.create.mutate({
      projectId: 'shop',
      name: 'one',
      agent: 'scripted',
      interface: 'chat',
      prompt: 'say hello there',
    })
    await using chat = await client.chat('shop_one')
    await readUntil(chat, ({ entries }) => entries.some((entry) => entry.type === 'prompt' && entry.state === 'done'))
    expect(chat.view.entries).toMatchObject([
      { type: 'prompt', text: 'say hello there', state: 'done' },
      { type: 'message', role: 'agent', text: 'hello there' },
    ])

    await chat.prompt('ask touch /tmp/x')
    await readUntil(chat, ({ head }) => head?.state === 'needs_input')
    await until(async () => (await client.sessions.get.query({ sessionId: 'shop_one' })).attention === 'needs_input')
    await using other = platform.client()
    await until(async () => (await other.inbox.list.query({})).length === 1)
    const [question] = await other.inbox.list.query({})
    expect(question).toMatchObject({ kind: 'tool', sessionId: 'shop_one', title: 'touch /tmp/x' })
    await other.inbox.answer.mutate({ questionId: question?.id ?? '', optionId: 'option-0' })
    await readUntil(chat, ({ head }) => head?.state === 'idle')
    expect(chat.view.entries.at(-1)).toMatchObject({ type: 'message', text: 'chosen yes' })
  })

  it('keeps an approval over kill -9 of relay, orchestrator and client', { timeout: 90_000 }, async () => {
    const asking = platform.client()
    const chat = await asking.chat('shop_one')
    await chat.prompt('ask deploy')
    await readUntil(chat, ({ head }) => head?.state === 'needs_input')
    await asking.close()
    const agents = await platform.json<Record<string, unknown>[]>('sessions', 'list')
    expect(agents[0]).toMatchObject({ attention: 'needs_input' })
    for (const service of ['relay', 'orchestrator'] as const) {
      process.kill(await platform.pidOf(service), 'SIGKILL')
      await until(async () => (await platform.health())?.orchestrators !== 1, 5_000).catch(() => undefined)
    }
    await untilOnline()

    await using client = platform.client()
    await until(async () => (await client.inbox.list.query({})).length === 1, 20_000)
    const [question] = await client.inbox.list.query({})
    const answer = { questionId: question?.id ?? '', optionId: 'option-0' }
    await client.inbox.answer.mutate(answer)
    await expect(client.inbox.answer.mutate({ ...answer, optionId: 'option-1' })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    await using again = await client.chat('shop_one')
    await readUntil(again, ({ head }) => head?.state === 'idle')
    expect(again.view.entries.filter((entry) => entry.type === 'message' && entry.text === 'chosen yes')).toHaveLength(
      2,
    )
    const diary = await platform.aio(['sessions', 'exec', 'shop_one', '--', 'cat', '/home/agent/diary'])
    expect(diary.stdout.match(/^outcome/gm)).toHaveLength(2)
    expect(diary.stdout.match(/^initialize/gm)).toHaveLength(1)
  })

  it('answers by a rule after "always", and pages through the history', { timeout: 60_000 }, async () => {
    await using client = platform.client()
    await using chat = await client.chat('shop_one')
    await chat.prompt('ask once more')
    await readUntil(chat, ({ head }) => head?.state === 'needs_input')
    await until(async () => (await client.inbox.list.query({})).length === 1)
    const [question] = await client.inbox.list.query({})
    await client.inbox.answer.mutate({ questionId: question?.id ?? '', optionId: 'always-session' })
    await readUntil(chat, ({ head }) => head?.state === 'idle')
    const promptId = await chat.prompt('ask without a person')
    await readUntil(chat, ({ entries }) =>
      entries.some(({ id, ...entry }) => id === promptId && 'state' in entry && entry.state === 'done'),
    )
    expect(await client.inbox.list.query({})).toEqual([])
    expect(await client.rules.list.query({ sessionId: 'shop_one' })).toMatchObject([
      { verdict: 'allow', match: { kind: 'tool' } },
    ])
    const before = chat.view.entries.at(-1)?.order ?? 0
    const page = await client.chat.history.query({ sessionId: 'shop_one', before, limit: 2 })
    expect(page.map(({ order }) => order)).toEqual([before - 2, before - 1])
  })

  it('is there on the command line, inert', { timeout: 60_000 }, async () => {
    const created = await platform.aio(['sessions', 'create', 'shop', 'two', '--agent', 'scripted', '--chat'])
    expect(created.stdout).toContain('aio prompt shop_two')
    const answer = await platform.aio(['prompt', 'shop_two', 'say', 'one \u001b]52;c;evil\u0007two'])
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(answer.stdout).toBe('one \ufffd]52;c;evil\ufffdtwo\n')
    const lines = (await platform.aio(['prompt', 'shop_two', '--json'], { input: 'say three' })).stdout
      .trim()
      .split('\n')
    expect(lines.map((line) => JSON.parse(line)).at(-1)).toMatchObject({ type: 'entry', entry: { state: 'done' } })
    const logs = await platform.aio(['logs', 'shop_two', '--chat'])
    expect(logs.stdout.split('\n').slice(-3)).toEqual(['> say three', 'three', ''])
    const inTerminal = await platform.json('sessions', 'create', 'shop', 'three', '--agent', 'shell')
    expect(inTerminal).toMatchObject({ state: 'running' })
    const refused = await platform.aio(['prompt', 'shop_three', 'hello'])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('aio sessions attach shop_three') })
  })
})
