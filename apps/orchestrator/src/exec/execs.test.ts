import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, type ExecItem, LIMITS } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { run } from '../process/run.ts'
import { type ExecSessions, Execs } from './execs.ts'

const log = pino({ level: 'silent' })
// Like runc: a parent that waits for a program in a session of its own, and ends as that does.
const WAITER = 'setsid "$@" <&3 3<&- & wait $!'
const sessions: ExecSessions = {
  execArgv: (id, argv, { cwd }) => {
    if (id === 'p_gone') throw new AioError('NOT_RUNNING', 'gone')
    if (id === 'p_stopped')
      return {
        file: 'sh',
        args: ['-c', `echo 'time="now" level=error msg="cannot exec in a stopped container"' >&2; exit 255`],
      }
    return { file: 'sh', args: ['-c', `exec 3<&0; cd '${cwd ?? '/'}'; ${WAITER}`, 'sh', ...argv] }
  },
}
const execs = new Execs({ sessions, log })
afterAll(() => execs[Symbol.asyncDispose]())

function start(argv: string[], options: { sessionId?: string; cwd?: string; stdin?: boolean; credit?: number } = {}) {
  const { sessionId = 'p_s', credit = LIMITS.streamWindowBytes, ...rest } = options
  const items: ExecItem[] = []
  const onEnd = vi.fn()
  const request = { execId: 'exec-0001', sessionId, argv, ...rest }
  const exec = execs.open({ request, send: (item) => items.push(item), onEnd })
  if (credit > 0) exec.credit(credit)
  const output = (type: 'stdout' | 'stderr') =>
    Buffer.concat(items.map((item) => (item.type === type ? Buffer.from(item.data, 'base64') : Buffer.alloc(0))))
  const ended = () => vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce(), { timeout: 10_000 })
  return { exec, items, onEnd, output, ended, code: () => items.find((item) => item.type === 'exit')?.code }
}

describe('a program run inside a session', () => {
  it('keeps stdout, stderr and the exit status apart', async () => {
    const program = start(['sh', '-c', 'echo out; echo err >&2; pwd; exit 3'], { cwd: '/usr' })
    await program.ended()
    expect(program.output('stdout').toString()).toBe('out\n/usr\n')
    expect(program.output('stderr').toString()).toBe('err\n')
    expect(program.items.at(-1)).toEqual({ type: 'exit', code: 3 })
    expect(program.onEnd).toHaveBeenCalledWith(undefined)
  })

  it('gets its arguments as they are', async () => {
    const hostile = ['$(id)', ';', '-x', '', "'", 'a b', '*']
    const program = start(['printf', '<%s>', ...hostile])
    await program.ended()
    expect(program.output('stdout').toString()).toBe(hostile.map((text) => `<${text}>`).join(''))
  })

  it.each([
    [['no-such-program'], 127],
    [['/etc/passwd'], 126],
    [['sh', '-c', 'kill -9 $$'], 137],
    [['sh', '-c', 'exit 255'], 255],
  ])('ends as a shell would tell: %j', async (argv, code) => {
    const program = start(argv)
    await program.ended()
    expect(program.code()).toBe(code)
  })

  it('reads what is sent, byte by byte, and has an empty stdin otherwise', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 256))
    const reader = start(['cat'], { stdin: true })
    for (let at = 0; at < bytes.length; at += 10_000)
      reader.exec.write(bytes.subarray(at, at + 10_000).toString('base64'))
    reader.exec.end()
    await reader.ended()
    expect(reader.output('stdout').equals(bytes)).toBe(true)
    const silent = start(['cat'])
    await silent.ended()
    expect(silent.code()).toBe(0)
  })

  it('is stopped by a viewer that does not read, and loses nothing by it', async () => {
    const program = start(['sh', '-c', 'seq 1 500000'], { credit: 0 })
    await sleep(200)
    expect(program.items).toEqual([])
    program.exec.credit(100_000)
    await vi.waitFor(() => expect(program.output('stdout').length).toBeGreaterThanOrEqual(100_000))
    await sleep(100)
    expect(program.output('stdout').length).toBeLessThan(100_000 + 2 * LIMITS.streamFrameMaxBytes)
    program.exec.credit(10_000_000)
    await program.ended()
    expect(program.output('stdout').toString().trimEnd().split('\n')).toHaveLength(500_000)
    for (const item of program.items)
      if ('data' in item)
        expect(Buffer.from(item.data, 'base64').length).toBeLessThanOrEqual(LIMITS.streamFrameMaxBytes)
  })

  it('ends with all that it started when its viewer goes, even when it ignores that', async () => {
    const mark = `61${process.pid}`
    const isAlive = async () => (await run('pgrep', ['-f', `sleep ${mark}`], { allowFailure: true })).stdout !== ''
    for (const trap of ['', 'trap "" TERM; ']) {
      const program = start(['sh', '-c', `${trap}echo started; sleep ${mark} & sleep ${mark}; sleep ${mark}`])
      await vi.waitFor(() => expect(program.output('stdout').toString()).toContain('started'))
      await vi.waitFor(async () => expect(await isAlive()).toBe(true))
      program.exec.close()
      await vi.waitFor(async () => expect(await isAlive()).toBe(false), { timeout: 5_000, interval: 100 })
      expect(program.onEnd).not.toHaveBeenCalled()
    }
    const { stdout } = await run('ps', ['--ppid', String(process.pid), '-o', 'stat='])
    expect(stdout).not.toMatch(/^Z/m)
  })

  it('is told apart from our own failures', async () => {
    const gone = start(['ls'], { sessionId: 'p_gone' })
    await gone.ended()
    expect(gone.onEnd).toHaveBeenCalledWith(expect.objectContaining({ code: 'NOT_RUNNING' }))
    const stopped = start(['ls'], { sessionId: 'p_stopped' })
    await stopped.ended()
    expect(stopped.items).toEqual([])
    expect(stopped.onEnd).toHaveBeenCalledWith(expect.objectContaining({ code: 'NOT_RUNNING' }))
    const alike = start(['sh', '-c', `echo 'time="now" level=error msg="x"' >&2; sleep 1; exit 1`])
    await vi.waitFor(() => expect(alike.output('stderr').toString()).toContain('level=error'))
    await alike.ended()
    expect(alike.code()).toBe(1)
  })
})
