import { setTimeout as sleep } from 'node:timers/promises'
import type { Question } from '@ai-orchestration/protocol'
import type { Chat } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, type Platform, startPlatform, until } from './harness/platform.ts'
import { type ModelApiStub, startModelApiStub } from './model-api-stub.ts'

const KEY = 'the-real-key-of-this-test'
const INSTALL_MS = 300_000
let stub: ModelApiStub
let platform: Platform

// Real agents from npm, in containers without a network card, against a stand-in for the model that checks the key.
beforeAll(async () => {
  stub = await startModelApiStub({ key: KEY })
  platform = await startPlatform({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: stub.url })
  await platform.json('projects', 'create', 'shop')
})
afterAll(async () => {
  await platform?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
})

async function install(agent: string): Promise<void> {
  const installed = await platform.aio(['agents', 'install', agent], { timeoutMs: INSTALL_MS - 20_000 })
  expect(installed, installed.stderr + platform.output()).toMatchObject({ code: 0 })
}

const inside = async (session: string, script: string) =>
  (await platform.aio(['sessions', 'exec', session, '--', 'sh', '-c', script])).stdout

/** Reads on until something holds of what was read. */
async function readUntil(chat: Chat, holds: (view: Chat['view']) => boolean): Promise<void> {
  const giveUp = setTimeout(() => void chat.close(), 60_000)
  try {
    while (!chat.view.isLive || !holds(chat.view)) {
      const item = await chat.next()
      if (item.done) throw new Error(`the chat ended at ${JSON.stringify(chat.view).slice(-3_000)}`)
    }
  } finally {
    clearTimeout(giveUp)
  }
}

const isDone =
  (promptId: string) =>
  ({ entries }: Chat['view']) =>
    entries.some((entry) => entry.type === 'prompt' && entry.id === promptId && entry.state === 'done')

/** Waits for the one question whether a tool may be used. */
async function allowOnce(client: ReturnType<Platform['client']>): Promise<{ questionId: string; optionId: string }> {
  let seen: Question[] = []
  const asked = () => seen.filter(({ kind }) => kind === 'tool')
  await until(
    async () => {
      seen = await client.inbox.list.query({})
      return asked().length === 1
    },
    60_000,
    () => `the inbox holds ${JSON.stringify(seen)}`,
  )
  const [question] = asked()
  const option = question?.options.find(
    ({ style, always, label }) => style === 'allow' && always === undefined && !/always/i.test(label),
  )
  return { questionId: question?.id ?? '', optionId: option?.id ?? '' }
}

const attentionOf = async (sessionId: string) => {
  const sessions = await platform.json<{ id: string; attention?: string }[]>('sessions', 'list')
  return sessions.find(({ id }) => id === sessionId)?.attention
}

describe('Claude Code in a chat', () => {
  it('is installed with the parts its chat needs, and one copy of itself', { timeout: INSTALL_MS }, async () => {
    await install('claude')
    type Machine = { agents: { id: string; hasChat?: boolean; ready: boolean }[] }
    const agents = (await platform.json<Machine[]>('agents', 'list')).flatMap((machine) => machine.agents)
    for (const id of ['claude', 'claude-acp', 'node'])
      expect(agents).toContainEqual(expect.objectContaining({ id, ready: true }))
    expect(agents.find(({ id }) => id === 'claude')?.hasChat).toBe(true)
    const big = await exec('find', [`${platform.aioHome}/agents`, '-type', 'f', '-size', '+100M', '-name', 'claude*'])
    expect(big.trim().split('\n')).toHaveLength(1)
  })

  it('asks a second client, edits, commits, and its commit comes home', { timeout: 120_000 }, async () => {
    await using client = platform.client()
    await client.sessions.create.mutate({
      ...{ projectId: 'shop', name: 'chat', agent: 'claude', interface: 'chat', permissions: 'ask' },
    })
    await using chat = await client.chat('shop_chat')
    const promptId = await chat.prompt(
      'RUNTOOL echo by-claude > made && git add made && git -c user.name=c -c user.email=c@c commit -qm by-claude',
    )
    await using other = platform.client()
    const answer = await allowOnce(other)
    expect(await attentionOf('shop_chat')).toBe('needs_input')
    expect(await inside('shop_chat', 'cat made 2>&1')).not.toContain('by-claude\n')
    await other.inbox.answer.mutate(answer)
    await readUntil(chat, isDone(promptId))
    expect(chat.view.entries).toContainEqual(expect.objectContaining({ type: 'tool', status: 'completed' }))
    expect(chat.view.entries.at(-1)).toMatchObject({ type: 'message', text: expect.stringContaining('seen.') })
    const log = async () =>
      await exec('git', ['-C', `${platform.projectsDir}/shop/.repo`, 'log', '-1', '--format=%s', 'feature/chat']).catch(
        () => '',
      )
    await until(
      async () => (await log()).includes('by-claude'),
      20_000,
      () => 'the commit did not come home',
    )
  })

  it('never holds the key, and reaches nothing directly', async () => {
    const everything = await inside(
      'shop_chat',
      'env; for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do cat $f 2>/dev/null; done; find / -xdev -type f -size -2000k ! -path "/proc/*" ! -path "/sys/*" ! -path "/usr/*" ! -path "/opt/*" -exec cat {} + 2>/dev/null',
    )
    expect(everything).toContain('sk-ant-placeholder')
    expect(everything).not.toContain(KEY)
    expect(stub.calls.length).toBeGreaterThan(0)
    expect(stub.calls.every(({ status, headers }) => status === 200 && headers['x-api-key'] === KEY)).toBe(true)
    const port = new URL(stub.url).port
    const direct = await inside(
      'shop_chat',
      `ls /sys/class/net; for to in 127.0.0.1/${port} 127.0.0.1/${platform.port} 1.1.1.1/443; do bash -c "exec 3<>/dev/tcp/$to" 2>/dev/null && echo reached $to; done; echo tried`,
    )
    expect(direct).toContain('tried')
    expect(direct).not.toContain('reached')
  })

  it('goes on after kill -9 of relay, orchestrator and client while it asks', { timeout: 180_000 }, async () => {
    const asking = platform.client()
    const lost = await asking.chat('shop_chat')
    const promptId = await lost.prompt('RUNTOOL echo once >> answered')
    await allowOnce(asking)
    await asking.close()
    for (const service of ['relay', 'orchestrator'] as const) {
      process.kill(await platform.pidOf(service), 'SIGKILL')
      await until(async () => (await platform.health())?.orchestrators !== 1, 5_000).catch(() => undefined)
    }
    await until(async () => (await platform.health())?.orchestrators === 1, 60_000)
    await using client = platform.client()
    const answer = await allowOnce(client)
    await client.inbox.answer.mutate(answer)
    await expect(client.inbox.answer.mutate(answer)).rejects.toMatchObject({ code: 'CONFLICT' })
    await using chat = await client.chat('shop_chat')
    await readUntil(chat, isDone(promptId))
    expect(await inside('shop_chat', 'cat answered')).toBe('once\n')
  })

  it('asks a question of its own, which a second client answers', { timeout: 120_000 }, async () => {
    await using client = platform.client()
    await using chat = await client.chat('shop_chat')
    const promptId = await chat.prompt('ASK Which colour should it be?')
    let seen: Question[] = []
    await until(
      async () => {
        seen = (await client.inbox.list.query({})).filter(({ kind }) => kind === 'agent')
        return seen.length === 1
      },
      60_000,
      () => JSON.stringify([seen, chat.view.entries.slice(-3)]),
    )
    const [question] = seen
    expect(question).toMatchObject({ title: expect.stringContaining('Which colour'), detail: { takesText: true } })
    expect(await attentionOf('shop_chat')).toBe('needs_input')
    const blue = question?.options.find(({ label }) => label.startsWith('Blue'))
    await using other = platform.client()
    await other.inbox.answer.mutate({ questionId: question?.id ?? '', optionId: blue?.id ?? '', text: 'but dark' })
    await readUntil(chat, isDone(promptId))
    const told = JSON.stringify(stub.calls.at(-1)?.body)
    expect(told).toContain('Blue')
    expect(told).toContain('but dark')
  })

  it('goes on in its terminal and back in its chat, in the same conversation', { timeout: 180_000 }, async () => {
    await using client = platform.client()
    const said = () => JSON.stringify(stub.calls.at(-1)?.body ?? '')
    await client.sessions.restart.mutate({
      ...{
        sessionId: 'shop_chat',
        interface: 'terminal',
        prompt: 'RUNTOOL echo in-terminal > typed',
        permissions: 'allow',
      },
    })
    await until(
      async () => (await inside('shop_chat', 'cat typed')).includes('in-terminal'),
      60_000,
      () => said(),
    )
    // What was asked in the chat is in what the model is told now.
    expect(said()).toContain('by-claude')
    // Nobody looks.
    await until(
      async () => (await attentionOf('shop_chat')) === 'done',
      30_000,
      () => 'it was not told that it is done',
    )
    {
      await using terminal = await client.terminal('shop_chat', { size: { cols: 100, rows: 30 } })
      await until(async () => (await attentionOf('shop_chat')) === 'idle', 20_000)
      await terminal.close()
    }
    await client.sessions.restart.mutate({ sessionId: 'shop_chat', interface: 'chat' })
    await using chat = await client.chat('shop_chat')
    const promptId = await chat.prompt('what did we do')
    await readUntil(chat, isDone(promptId))
    expect(said()).toContain('by-claude')
    expect(said()).toContain('in-terminal')
    expect(chat.view.entries.some((entry) => entry.type === 'prompt' && entry.text.includes('by-claude'))).toBe(true)
  })
})

describe('Claude Code in a terminal', () => {
  it('tells by its hooks that it works, asks and is done', { timeout: 120_000 }, async () => {
    await using client = platform.client()
    const seen: (string | undefined)[] = []
    await client.sessions.create.mutate({
      ...{
        projectId: 'shop',
        name: 'typed',
        agent: 'claude',
        permissions: 'ask',
        prompt: 'RUNTOOL echo asked > asked',
      },
    })
    await until(
      async () => {
        seen.push(await attentionOf('shop_typed'))
        return seen.at(-1) === 'needs_input'
      },
      60_000,
      () => `it was seen as ${[...new Set(seen)].join(', ')}`,
    )
    const terminal = await client.terminal('shop_typed', { size: { cols: 100, rows: 30 } })
    await sleep(500)
    await terminal.write('\r')
    await until(async () => (await inside('shop_typed', 'cat asked')).includes('asked'), 30_000)
    await until(async () => (await attentionOf('shop_typed')) === 'idle', 30_000)
    await terminal.close()
  })
})

describe('OpenCode', () => {
  it('completes a prompt by configuration only, and asks by the inbox', { timeout: INSTALL_MS }, async () => {
    await install('opencode')
    await using client = platform.client()
    await client.sessions.create.mutate({
      ...{ projectId: 'shop', name: 'open', agent: 'opencode', interface: 'chat', permissions: 'ask' },
    })
    await using chat = await client.chat('shop_open')
    const hello = await chat.prompt('hello')
    await readUntil(chat, isDone(hello))
    expect(chat.view.entries.at(-1)).toMatchObject({
      type: 'message',
      text: expect.stringContaining('Hello from the stub'),
    })
    const promptId = await chat.prompt('RUNTOOL echo by-opencode > made')
    await using other = platform.client()
    await other.inbox.answer.mutate(await allowOnce(other))
    await readUntil(chat, isDone(promptId))
    expect(await inside('shop_open', 'cat made')).toBe('by-opencode\n')
    expect(stub.calls.every(({ headers }) => headers['x-api-key'] === KEY)).toBe(true)
  })
})
