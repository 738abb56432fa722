import type { TerminalItem } from '@ai-orchestration/protocol'
import type { Client, Terminal } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Platform, startPlatform, until } from './harness/platform.ts'

const sessionId = 'demo_term'
let platform: Platform
let client: Client

beforeAll(async () => {
  platform = await startPlatform()
  await platform.json('projects', 'create', 'demo')
  await platform.json('sessions', 'create', 'demo', 'term', '--agent', 'shell')
  client = platform.client()
})
afterAll(async () => {
  await client?.close()
  await platform?.[Symbol.asyncDispose]()
})

/** Reads a terminal to its end in the background and keeps what came. */
function record(terminal: Terminal) {
  const items: TerminalItem[] = []
  const reading = (async () => {
    for await (const item of terminal) items.push(item)
  })()
  const text = () => items.map((item) => ('data' in item ? item.data : '')).join('')
  const shows = (wanted: string) =>
    until(
      () => text().includes(wanted),
      20_000,
      () => `no ${wanted} in: ${text().slice(-500)}`,
    )
  return { items, text, shows, reading }
}

describe("a session's terminal", () => {
  it('shows what is typed and printed to every viewer, in one size, also to who comes later', async () => {
    await using first = await client.terminal(sessionId, { size: { cols: 100, rows: 30 } })
    const seen = record(first)
    await first.write('echo "$((6*7)) answers"; stty size\r')
    await seen.shows('42 answers')
    await seen.shows('30 100')

    await using second = await client.terminal(sessionId)
    const late = record(second)
    await late.shows('42 answers')
    expect(late.items[0]).toMatchObject({ type: 'replay', cols: 100, rows: 30 })
    await second.resize(90, 25)
    // tmux tells the program of a new size up to a quarter of a second later.
    await second.write("until stty size | grep '25 90'; do sleep 0.1; done\r")
    for (const viewer of [seen, late]) {
      await viewer.shows('25 90\r\n')
      expect(viewer.items).toContainEqual(expect.objectContaining({ type: 'resized', cols: 90, rows: 25 }))
    }
  })

  it('loses no byte of a flood, and goes on from an offset on another connection', async () => {
    await using terminal = await client.terminal(sessionId)
    const seen = record(terminal)
    await seen.shows('$')
    await terminal.write('clear; seq 1 300000; echo e"n"d\r')
    await until(() => /300000\r\nend\r\n/.test(seen.text()), 60_000)
    const numbers = seen.text().slice(seen.text().indexOf('1\r\n2\r\n3\r\n'))
    const counted = numbers.split('\r\n').slice(0, 300_000).map(Number)
    expect(counted.findIndex((number, index) => number !== index + 1)).toBe(-1)

    const from = seen.items.findIndex((item) => item.type === 'data')
    const { offset } = seen.items[from] ?? { offset: 0 }
    const other = platform.client()
    try {
      const again = record(await other.terminal(sessionId, { after: offset }))
      await until(() => (again.items.at(-1)?.offset ?? 0) >= (seen.items.at(-1)?.offset ?? 0), 60_000)
      expect(again.items.some(({ type }) => type === 'replay')).toBe(false)
      const rest = seen.items
        .slice(from + 1)
        .map((item) => (item.type === 'data' ? item.data : ''))
        .join('')
      expect(again.text().slice(0, rest.length)).toBe(rest)
    } finally {
      await other.close()
    }
  })

  it('ends with the session, after its last words', async () => {
    await platform.json('sessions', 'create', 'demo', 'short', '--agent', 'shell')
    await using terminal = await client.terminal('demo_short')
    const seen = record(terminal)
    await seen.shows('$')
    await terminal.write('echo last"-"words; exit 4\r')
    await seen.reading
    expect(seen.text()).toContain('last-words')
    expect(seen.items.at(-1)).toMatchObject({ type: 'exit', exit: { reason: 'exited', code: 4 } })
    const late = record(await client.terminal('demo_short'))
    await late.reading
    expect(late.text()).toContain('last-words')
  })
})

describe('a program run in a session', () => {
  it('ends inside the container when whoever started it goes away', async () => {
    const running = async () =>
      (await platform.aio(['sessions', 'exec', sessionId, '--', 'pgrep', '-c', 'sleep'])).stdout.trim()
    const other = platform.client()
    const program = other.exec(sessionId, ['sh', '-c', 'sleep 4711 & sleep 4712'])
    program.exit.catch(() => undefined)
    await until(async () => (await running()) === '2')
    await other.close()
    await until(async () => (await running()) === '0')
  })
})
