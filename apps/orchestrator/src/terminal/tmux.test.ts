import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../process/run.ts'
import { Tmux } from './tmux.ts'

const size = { cols: 80, rows: 24 }
let dir: string
let tmux: Tmux

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-tmux-'))
  tmux = await Tmux.open({ aioRun: dir, log: pino({ level: 'silent' }) })
})
afterAll(async () => {
  await tmux[Symbol.asyncDispose]()
  await run('tmux', ['-S', join(dir, 'tmux.sock'), 'kill-server'], { allowFailure: true })
  await rm(dir, { recursive: true, force: true })
})

const stateOf = async (name: string) => (await tmux.list()).find((state) => state.name === name)

describe('Tmux', () => {
  it('lists nothing and finds nothing when no server runs', async () => {
    expect(await tmux.list()).toEqual([])
    expect(await tmux.has('claude-a_b')).toBe(false)
    await tmux.kill('claude-a_b')
  })

  it('executes arguments as they are and logs from the first byte, even at a path a shell would trip over', async () => {
    const logFile = join(dir, "a log's $(touch x) #{pid} %H.log")
    const hostile = ['$(id)', '`id`', '#{pane_id}', '#(id)', ';', 'a;', 'b\\;', '\\;', '~', '%H', "'", '"', '']
    await tmux.newSession({ name: 'claude-p_args', argv: ['printf', '<%s>', ...hostile], ...size, logFile })
    const expected = hostile.map((text) => `<${text}>`).join('')
    await vi.waitFor(async () => expect(await readFile(logFile, 'utf8')).toBe(expected))
    await vi.waitFor(async () => expect(await stateOf('claude-p_args')).toMatchObject({ isDead: true, exitCode: 0 }))
  })

  it('runs a lone argument without a shell', async () => {
    const logFile = join(dir, 'lone.log')
    await tmux.newSession({ name: 'claude-p_lone', argv: ['echo $HOME; id'], ...size, logFile })
    await vi.waitFor(async () => expect(await stateOf('claude-p_lone')).toMatchObject({ isDead: true, exitCode: 127 }))
  })

  it('refuses a name that is taken, and names that mean something to tmux', async () => {
    const terminal = { argv: ['sleep', '60'], ...size, logFile: join(dir, 'taken.log') }
    await tmux.newSession({ ...terminal, name: 'claude-p_taken' })
    await expect(tmux.newSession({ ...terminal, name: 'claude-p_taken' })).rejects.toMatchObject({ code: 'CONFLICT' })
    for (const name of ['', 'a b', '=a', 'a:1', 'a.1', '$1', '#(id)', '-t', 'aio-control'])
      await expect(tmux.newSession({ ...terminal, name })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('takes names as they are: a prefix is another terminal', async () => {
    const logFile = join(dir, 'prefix.log')
    await tmux.newSession({ name: 'claude-p_longer', argv: ['sleep', '60'], ...size, logFile })
    expect(await tmux.has('claude-p_long')).toBe(false)
    await tmux.kill('claude-p_long')
    expect(await tmux.has('claude-p_longer')).toBe(true)
    await tmux.kill('claude-p_longer')
    expect(await tmux.has('claude-p_longer')).toBe(false)
  })

  it('tells how a program ended, and says so at once', async () => {
    const died = vi.fn()
    const stop = tmux.onDeath(died)
    const logFile = join(dir, 'ended.log')
    await tmux.newSession({ name: 'claude-p_three', argv: ['sh', '-c', 'echo last words; exit 3'], ...size, logFile })
    await vi.waitFor(() => expect(died).toHaveBeenCalled())
    died.mockClear()
    await tmux.newSession({ name: 'claude-p_killed', argv: ['sh', '-c', 'kill -9 $$'], ...size, logFile })
    await vi.waitFor(async () => expect(await stateOf('claude-p_killed')).toMatchObject({ isDead: true, signal: 9 }))
    await vi.waitFor(() => expect(died).toHaveBeenCalled())
    expect(await stateOf('claude-p_three')).toMatchObject({ isDead: true, exitCode: 3 })
    expect(await tmux.capture('claude-p_three')).toBe('last words')
    stop()
  })

  it('types bytes as they are and in order, and sets the size', async () => {
    const logFile = join(dir, 'typed.log')
    const argv = ['sh', '-c', 'stty raw -echo; echo ready; exec cat']
    await tmux.newSession({ name: 'claude-p_typed', argv, ...size, logFile })
    await vi.waitFor(async () => expect(await readFile(logFile, 'utf8')).toContain('ready'))
    const text = `\x1b[A\x03\x00é漢🎉;'"$(id)#{x}\r${'0123456789'.repeat(500)}`
    await Promise.all([...(text.match(/[\s\S]{1,7}/gu) ?? [])].map((part) => tmux.input('claude-p_typed', part)))
    await vi.waitFor(async () => expect((await readFile(logFile, 'utf8')).split('ready')[1]).toContain(text))
    await tmux.resize('claude-p_typed', { cols: 123, rows: 45 })
    expect(await tmux.sizeOf('claude-p_typed')).toEqual({ cols: 123, rows: 45 })
  })

  it('keeps the outputs of several commands apart, whatever a program printed', async () => {
    const argv = ['sh', '-c', 'echo "%end 1 2 1"; echo %error; exec sleep 60']
    await tmux.newSession({ name: 'claude-p_apart', argv, cols: 30, rows: 3, logFile: join(dir, 'apart.log') })
    const commands = [['display-message', '#{pane_width}'], ['capture-pane'], ['display-message', '']]
    await vi.waitFor(async () =>
      expect(await tmux.inspect('claude-p_apart', commands)).toEqual(['30\n', '%end 1 2 1\n%error\n\n', '\n']),
    )
    await expect(tmux.inspect('claude-p_nobody', commands)).rejects.toMatchObject({ code: 'NOT_RUNNING' })
  })

  it('passes refusals of tmux on, and recovers when the whole server is killed', async () => {
    await expect(tmux.input('claude-p_nobody', 'x')).rejects.toMatchObject({ code: 'EXEC_ERROR' })
    const survivor = { name: 'claude-p_again', argv: ['sleep', '60'], ...size, logFile: join(dir, 'again.log') }
    await run('tmux', ['-S', join(dir, 'tmux.sock'), 'kill-server'])
    await vi.waitFor(async () => expect(await tmux.list()).toEqual([]))
    await tmux.newSession(survivor)
    await tmux.resize('claude-p_again', { cols: 90, rows: 20 })
    expect(await tmux.sizeOf('claude-p_again')).toEqual({ cols: 90, rows: 20 })
  })
})
