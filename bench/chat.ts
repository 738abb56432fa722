import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startModelApiStub } from '@ai-orchestration/e2e/model-api-stub'
import { startPlatform } from '@ai-orchestration/e2e/platform'
import type { Chat } from '@ai-orchestration/sdk'
import { type Figure, type Goal, median } from './report.ts'

const RUNS = 60
/** Prompts before it counts. */
const WARM = 5
const AGENT = join(import.meta.dirname, 'chat-agent.mjs')
const KEY = 'bench-key'
/** Found by the container and by the one that runs beside it, so that both run the same Node. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const AGENTS = `
[bench]
name = "Bench"
argv = ["sh"]
gateway = "anthropic"
[bench.env]
ANTHROPIC_BASE_URL = "{door}"
ANTHROPIC_API_KEY = "{key}"
[bench.chat]
argv = ["node", "/opt/agents/chat-agent.mjs"]
`

/** From issue 5: what gateway, conversation and relay may add, in milliseconds. */
const ADDED: Goal = { of: 'value', better: 'lower', atLeast: 15, aim: 10 }

/**
 * Time from a prompt to the first piece of the agent's answer at a client that watches, with a model that answers at once
 * through the gateway. Beside it, in turns: the same agent on the host, told by its own stdin, with the model itself.
 */
export async function benchChat(): Promise<Figure[]> {
  await using stub = await startModelApiStub({ key: KEY })
  const gateway = { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: stub.url }
  await using platform = await startPlatform({ LOG_LEVEL: 'error', ...gateway }, async (aioHome) => {
    await mkdir(join(aioHome, 'agents'))
    await copyFile(AGENT, join(aioHome, 'agents/chat-agent.mjs'))
    await writeFile(join(aioHome, 'agents.toml'), AGENTS)
  })
  await platform.json('projects', 'create', 'bench')
  await using client = platform.client()
  await client.sessions.create.mutate({ projectId: 'bench', name: 'one', agent: 'bench', interface: 'chat' })
  await using chat = await client.chat('bench_one')
  const alone = spawn('/usr/bin/env', ['node', AGENT], {
    env: { PATH, ...gateway },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const direct = driver(alone)
    const ours: number[] = []
    const theirs: number[] = []
    for (let run = -WARM; run < RUNS; run += 1) {
      const with_ = await throughUs(chat)
      const without = await direct()
      if (run < 0) continue
      ours.push(with_)
      theirs.push(without)
    }
    const added = ours.map((value, index) => value - (theirs[index] ?? 0))
    const shared = { unit: 'ms' as const, baseline: 'the agent alone', theirs: median(theirs), runs: RUNS }
    return [
      { what: 'chat: prompt to first piece of the answer', ours: median(ours), ...shared },
      { what: 'chat: added by gateway, conversation and relay', ours: median(added), ...shared, goal: ADDED },
    ]
  } finally {
    alone.kill()
    await once(alone, 'exit')
  }
}

async function throughUs(chat: Chat): Promise<number> {
  await untilItem(chat, () => chat.view.isLive && chat.view.head?.state === 'idle')
  const known = new Set(chat.view.entries.map(({ id }) => id))
  const begin = performance.now()
  const [, end] = await Promise.all([
    chat.prompt('hello'),
    untilItem(chat, () => chat.view.entries.some(({ id, type }) => type === 'message' && !known.has(id))),
  ])
  return end - begin
}

async function untilItem(chat: Chat, holds: () => boolean): Promise<number> {
  while (!holds()) {
    const { done } = await chat.next()
    if (done) throw new Error('the chat ended')
  }
  return performance.now()
}

/** Speaks to the agent by its own stdin. @returns what asks it once and answers the milliseconds. */
function driver(agent: ChildProcess): () => Promise<number> {
  const { stdin, stdout } = agent
  if (stdin === null || stdout === null) throw new Error('the agent has no pipes')
  let nextId = 1
  let onChunk: (() => void) | undefined
  let onEnd: (() => void) | undefined
  createInterface({ input: stdout }).on('line', (line) => {
    if (line.includes('agent_message_chunk')) onChunk?.()
    else onEnd?.()
  })
  return async () => {
    const chunk = Promise.withResolvers<number>()
    const ended = Promise.withResolvers<void>()
    onChunk = () => chunk.resolve(performance.now())
    onEnd = ended.resolve
    const begin = performance.now()
    const params = { sessionId: 'bench', prompt: [{ type: 'text', text: 'hello' }] }
    stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: nextId++, method: 'session/prompt', params })}\n`)
    const end = await chunk.promise
    await ended.promise
    return end - begin
  }
}
