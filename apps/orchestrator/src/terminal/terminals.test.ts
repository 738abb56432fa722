import { appendFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AioError,
  LIMITS,
  type OrchestratorEvent,
  type Session,
  type TerminalItem,
  type TerminalSize,
} from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../process/run.ts'
import { TerminalLog } from './terminal-log.ts'
import { type TerminalSessions, Terminals } from './terminals.ts'
import { Tmux } from './tmux.ts'
import { Viewer, wholeCharacters } from './viewer.ts'

const log = pino({ level: 'silent' })

/** Sessions that are nothing but a terminal. */
class FakeSessions implements TerminalSessions {
  readonly sessions = new Map<string, Session>()
  readonly listeners = new Set<(event: OrchestratorEvent) => void>()
  require(id: string): Session {
    const session = this.sessions.get(id)
    if (session === undefined) throw new AioError('NOT_FOUND', `no ${id}`)
    return session
  }
  list(): Session[] {
    return [...this.sessions.values()]
  }
  async resume(id: string): Promise<Session> {
    this.set(id, 'running')
    return this.require(id)
  }
  terminalOf(id: string): { tmuxName: string; logFile: string } {
    return { tmuxName: `claude-${id}`, logFile: join(dir, `${id}.log`) }
  }
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
  set(id: string, state: Session['state'], exit?: Session['exit']): void {
    const now = new Date().toISOString()
    const session: Session = {
      ...{ id, projectId: 'p', name: id.slice(2), orchestratorId: '0'.repeat(26), agent: 'shell', branch: 'b' },
      ...{ base: { ref: 'main', commit: '0' }, state, isolation: 'full', createdAt: now, updatedAt: now },
      ...(exit === undefined ? {} : { exit }),
    }
    this.sessions.set(id, session)
    for (const listener of this.listeners) listener({ type: 'session_updated', session })
  }
}

let dir: string
let tmux: Tmux
const sessions = new FakeSessions()
let terminals: Terminals

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-terminals-'))
  tmux = await Tmux.open({ aioRun: dir, log })
  terminals = new Terminals({ tmux, sessions, log })
})
afterAll(async () => {
  await terminals[Symbol.asyncDispose]()
  await tmux[Symbol.asyncDispose]()
  await run('tmux', ['-S', join(dir, 'tmux.sock'), 'kill-server'], { allowFailure: true })
  await rm(dir, { recursive: true, force: true })
})

/** Starts a script; it has come to its end or to `ready` when this resolves. */
async function startSession(id: string, script: string): Promise<void> {
  const { tmuxName, logFile } = sessions.terminalOf(id)
  await tmux.newSession({ name: tmuxName, argv: ['sh', '-c', script], cols: 80, rows: 24, logFile })
  if (script.includes('ready')) await vi.waitFor(async () => expect(await readFile(logFile, 'utf8')).toContain('ready'))
  sessions.set(id, 'running')
}

function watch(sessionId: string, options: { after?: number; size?: TerminalSize; isGreedy?: boolean } = {}) {
  const items: TerminalItem[] = []
  const onEnd = vi.fn()
  const viewer = terminals.open({
    ...{ sessionId, after: options.after, size: options.size, onEnd },
    send: (item) => {
      items.push(item)
      if ('data' in item && options.isGreedy !== false) viewer.credit(Buffer.byteLength(item.data))
    },
  })
  viewer.credit(LIMITS.streamWindowBytes)
  const data = () => items.map((item) => (item.type === 'data' ? item.data : '')).join('')
  const text = () => items.map((item) => ('data' in item ? item.data : '')).join('')
  return { items, onEnd, viewer, data, text, types: () => items.map(({ type }) => type) }
}

const endOf = (sessionId: string) => stat(sessions.terminalOf(sessionId).logFile).then(({ size }) => size)

describe('Terminals', () => {
  it('replays the screen, then sends what comes, with offsets into the whole output', async () => {
    await startSession('p_echo', 'stty -echo; echo before; while read line; do echo "<$line>"; done')
    const file = sessions.terminalOf('p_echo').logFile
    await vi.waitFor(async () => expect(await readFile(file, 'utf8')).toContain('before'))
    const viewer = watch('p_echo')
    await vi.waitFor(() => expect(viewer.types()).toEqual(['replay']))
    expect(viewer.items[0]).toMatchObject({ cols: 80, rows: 24, offset: await endOf('p_echo') })
    expect(viewer.text()).toContain('before')
    for (const word of ['one', 'two', 'thrée']) await terminals.input('p_echo', `${word}\r`)
    await vi.waitFor(() => expect(viewer.data()).toBe('<one>\r\n<two>\r\n<thrée>\r\n'))
    expect(viewer.items.at(-1)?.offset).toBe(await endOf('p_echo'))
    viewer.viewer.close()
  })

  it('goes on after an offset without a hole and without repeating', async () => {
    await startSession('p_resume', 'stty -echo; printf ready; read x; echo 0123456789; read x')
    await terminals.input('p_resume', '\r')
    await vi.waitFor(async () => expect(await endOf('p_resume')).toBe(17))
    const viewer = watch('p_resume', { after: 9 })
    await vi.waitFor(() => expect(viewer.data()).toBe('456789\r\n'))
    expect(viewer.types()).toEqual(['resized', 'data'])
    viewer.viewer.close()
  })

  it('serves several viewers alike, tells all of a new size, and keeps the input in order', async () => {
    await startSession('p_many', 'stty raw -echo; printf ready; exec cat')
    const viewers = [watch('p_many'), watch('p_many'), watch('p_many', { size: { cols: 100, rows: 30 } })]
    for (const { items } of viewers) await vi.waitFor(() => expect(items.length).toBeGreaterThan(0))
    await vi.waitFor(() => expect(viewers[2]?.items[0]).toMatchObject({ cols: 100, rows: 30 }))
    await terminals.resize('p_many', { cols: 90, rows: 20 })
    const numbers = Array.from({ length: 200 }, (_, index) => `${index},`)
    await Promise.all(numbers.map((number) => terminals.input('p_many', number)))
    for (const { data, items } of viewers) {
      await vi.waitFor(() => expect(data()).toBe(numbers.join('')))
      expect(items).toContainEqual(expect.objectContaining({ type: 'resized', cols: 90, rows: 20 }))
    }
    for (const { viewer } of viewers) viewer.close()
  })

  it('sends all output and the exit, and shows the last output to who comes later, even without a terminal', async () => {
    await startSession('p_end', 'read x; seq 1 5000; printf "\\346\\274"')
    const viewer = watch('p_end')
    await vi.waitFor(() => expect(viewer.types()).toEqual(['replay']))
    await terminals.input('p_end', '\r')
    await vi.waitFor(async () =>
      expect((await tmux.list()).find(({ name }) => name === 'claude-p_end')?.isDead).toBe(true),
    )
    const exit = { reason: 'exited', code: 0, at: new Date().toISOString() } as const
    sessions.set('p_end', 'stopped', exit)
    await vi.waitFor(() => expect(viewer.onEnd).toHaveBeenCalledWith(undefined))
    expect(viewer.data()).toMatch(/^\r\n1\r\n2\r\n[\s\S]*5000\r\n\ufffd$/)
    expect(viewer.items.at(-1)).toEqual({ type: 'exit', offset: await endOf('p_end'), exit })

    for (const isGone of [false, true]) {
      if (isGone) await tmux.kill('claude-p_end')
      const late = watch('p_end', { size: { cols: 100, rows: 30 } })
      await vi.waitFor(() => expect(late.onEnd).toHaveBeenCalledWith(undefined))
      expect(late.types()).toEqual(['replay', 'exit'])
      expect(late.text()).toContain('4999')
    }
    await expect(terminals.input('p_end', 'x')).rejects.toMatchObject({ code: 'NOT_RUNNING' })
  })

  it('waits for a session that is being created, and refuses one that is not there', async () => {
    const nobody = watch('p_nobody')
    await vi.waitFor(() => expect(nobody.onEnd).toHaveBeenCalledWith(expect.objectContaining({ code: 'NOT_FOUND' })))
    sessions.set('p_early', 'starting')
    const early = watch('p_early')
    await startSession('p_early', 'echo first; exec sleep 60')
    await vi.waitFor(() => expect(early.text()).toContain('first'))
    early.viewer.close()
  })
})

describe('a viewer that does not keep up', () => {
  it('gets no more than its window, and then everything once it reads again', async () => {
    await startSession('p_slow', 'stty -echo; printf ready; read x; seq 1 400000; read x')
    const viewer = watch('p_slow', { isGreedy: false })
    await vi.waitFor(() => expect(viewer.types()).toEqual(['replay']))
    await terminals.input('p_slow', '\r')
    const expected = `${Array.from({ length: 400_000 }, (_, index) => index + 1).join('\r\n')}\r\n`
    await vi.waitFor(async () => expect(await endOf('p_slow')).toBe('ready'.length + expected.length), {
      timeout: 5_000,
    })
    expect(Buffer.byteLength(viewer.text())).toBeLessThanOrEqual(LIMITS.streamWindowBytes)
    viewer.viewer.credit(10_000_000)
    await vi.waitFor(() => expect(viewer.data().length).toBe(expected.length), { timeout: 5_000 })
    expect(viewer.data()).toBe(expected)
    for (const item of viewer.items)
      if (item.type === 'data') expect(Buffer.byteLength(item.data)).toBeLessThanOrEqual(LIMITS.streamFrameMaxBytes)
    viewer.viewer.close()
  })

  it('is told what it missed when the cap has passed it by, and gets the present screen', async () => {
    const path = join(dir, 'capped.log')
    await using capped = await TerminalLog.open(path, log, { keepBytes: 1_000_000, slackBytes: 0 })
    await appendFile(path, 'x'.repeat(LIMITS.streamWindowBytes))
    const items: TerminalItem[] = []
    const replay = async () => ({ cols: 80, rows: 24, data: 'the present', offset: await capped.size() })
    const viewer = new Viewer({ log: capped, replay, send: (item) => items.push(item), onEnd: vi.fn(), after: 0 })
    viewer.credit(LIMITS.streamWindowBytes)
    await vi.waitFor(() => expect(items.at(-1)?.offset).toBe(LIMITS.streamWindowBytes))
    await appendFile(path, 'y'.repeat(5_000_000))
    const before = (await stat(path)).blocks
    await capped.trim()
    expect((await stat(path)).size).toBe(LIMITS.streamWindowBytes + 5_000_000)
    expect((await stat(path)).blocks).toBeLessThan(before / 2)
    viewer.credit(1_000)
    await vi.waitFor(() => expect(items.at(-1)?.type).toBe('replay'))
    const [truncated, replayed] = items.slice(-2)
    expect(truncated).toEqual({ type: 'truncated', offset: LIMITS.streamWindowBytes, bytes: 5_000_000 })
    expect(replayed).toMatchObject({ data: 'the present', offset: LIMITS.streamWindowBytes + 5_000_000 })
    viewer.close()

    await using reopened = await TerminalLog.open(path, log)
    expect(reopened.firstOffset).toBe(capped.firstOffset)
    expect(await reopened.read(0, 10)).toBeUndefined()
    expect((await reopened.read(reopened.firstOffset, 10))?.toString()).toBe('yyyyyyyyyy')
  })
})

describe('wholeCharacters', () => {
  it('never cuts a character, and never waits for what is no UTF-8', () => {
    const bytes = Buffer.from('aé漢🎉')
    const whole = bytes.map((_, index) => wholeCharacters(bytes.subarray(0, index + 1)))
    expect([...whole]).toEqual([1, 1, 3, 3, 3, 6, 6, 6, 6, 10])
    for (const invalid of [[0x80], [0xff], [0x80, 0x80, 0x80, 0x80], [0x61, 0xbf]])
      expect(wholeCharacters(Buffer.from(invalid))).toBe(invalid.length)
    expect(wholeCharacters(Buffer.alloc(0))).toBe(0)
  })
})
