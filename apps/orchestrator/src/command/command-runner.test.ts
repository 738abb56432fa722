import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OrchestratorEvent } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { loadConfig } from '../config.ts'
import { Journal } from '../journal/journal.ts'
import { Outbox } from '../link/outbox.ts'
import { createLogger } from '../log.ts'
import { CommandRunner } from './command-runner.ts'
import type { Services } from './define-command.ts'
import { CommandRegistry } from './registry.ts'

const shipped = new URL('../../config/commands.toml', import.meta.url).pathname

const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal[Symbol.asyncDispose]()
})

/** Real runner over real executables; only the rooms that these commands never enter are left out. */
async function setUp(toml: string, scripts: Record<string, string> = {}) {
  const home = await mkdtemp(join(tmpdir(), 'aio-run-'))
  onTestFinished(async () => await rm(home, { recursive: true, force: true }))
  await mkdir(join(home, 'scripts'))
  for (const [name, text] of Object.entries(scripts))
    await writeFile(join(home, 'scripts', name), text, { mode: 0o755 })
  await writeFile(join(home, 'commands.toml'), toml)
  const registry = await CommandRegistry.open(shipped, join(home, 'commands.toml'))
  const log = createLogger('silent')
  const services = { config: loadConfig({ HOME: home, AIO_HOME: home }) } as Services
  const events: OrchestratorEvent[] = []
  /** A runner as a new process would have it; the one before is as if it had been killed. */
  const start = async () => {
    const journal = await Journal.open({ path: join(home, 'orchestrator/journal.db'), log })
    opened.push(journal)
    const outbox = new Outbox(journal)
    const publish = (event: OrchestratorEvent) => {
      events.push(event)
      outbox.add(event)
    }
    return { journal, outbox, runner: new CommandRunner({ registry, services, log, journal, publish }) }
  }
  let current = await start()
  const restart = async () => {
    current = await start()
    return current
  }
  const run = async (command: string, input: unknown, options: { ttlMs?: number; commandId?: string } = {}) => {
    const commandId = options.commandId ?? ulid()
    current.runner.dispatch({
      type: 'run',
      commandId,
      command,
      input,
      ttlMs: options.ttlMs ?? 60_000,
      sentAt: 0,
      by: { name: 't', isAdmin: true },
    })
    return commandId
  }
  const final = async (commandId: string) => {
    for (;;) {
      const event = events.find(
        (event) => (event.type === 'command_result' || event.type === 'command_error') && event.commandId === commandId,
      )
      if (event !== undefined) return event
      await sleep(5)
    }
  }
  return { home, events, run, final, restart, runner: current.runner, journal: current.journal }
}

const ECHO = `
[commands.echo]
run = ["scripts/echo.sh", "fixed", "{name}", "{missing}", "{list}"]
input = { type = "object", required = ["name"], properties = { name = { type = "string" } } }
output = { type = "array" }
`
const ECHO_SH =
  '#!/bin/sh\necho \'{"progress": 40, "message": "half"}\' >&2\necho plain >&2\njq -nc --args \'$ARGS.positional\' -- "$@"\n'

describe('executables as commands', () => {
  it('get input fields as positional arguments, exactly, and answer with JSON', async () => {
    const { run, final, events } = await setUp(ECHO, { 'echo.sh': ECHO_SH })
    const name = '$(id); `x` "q" \' & | > *\nü'
    const id = await run('echo', { name, list: [1, 'a'] })
    expect(await final(id)).toMatchObject({ type: 'command_result', output: ['fixed', name, '', '[1,"a"]'] })
    expect(events.map((event) => event.type)).toEqual(['command_ack', 'command_progress', 'command_result'])
    expect(events[1]).toMatchObject({ progress: 40, message: 'half' })
  })
  it('refuse a value that would be taken for an option', async () => {
    const { run, final } = await setUp(ECHO, { 'echo.sh': ECHO_SH })
    expect(await final(await run('echo', { name: '--upload-pack=x' }))).toMatchObject({
      error: { code: 'INVALID_INPUT' },
    })
  })
  it('are refused before they start when the input does not fit', async () => {
    const { run, final, events } = await setUp(ECHO, { 'echo.sh': ECHO_SH })
    expect(await final(await run('echo', { name: 5 }))).toMatchObject({
      state: 'rejected',
      error: { code: 'INVALID_INPUT' },
    })
    expect(events.some((event) => event.type === 'command_ack')).toBe(false)
  })
  it('fail with INVALID_OUTPUT when stdout is not one JSON value, or not the declared one', async () => {
    const { run, final } = await setUp(`${ECHO}\n[commands.junk]\nrun = ["echo", "hello"]\n`, {
      'echo.sh': '#!/bin/sh\necho 5\n',
    })
    expect(await final(await run('junk', {}))).toMatchObject({ state: 'failed', error: { code: 'INVALID_OUTPUT' } })
    expect(await final(await run('echo', { name: 'x' }))).toMatchObject({
      state: 'failed',
      error: { code: 'INVALID_OUTPUT' },
    })
  })
  it('are stopped when they run out of time', async () => {
    const { run, final } = await setUp('[commands.slow]\nrun = ["sleep", "60"]\ntimeoutMs = 100\n')
    expect(await final(await run('slow', {}))).toMatchObject({ state: 'failed', error: { code: 'TIMEOUT' } })
  })
})

describe('CommandRunner', () => {
  it('runs a repeated id once and says its result again', async () => {
    const { home, run, final, events } = await setUp('[commands.mark]\nrun = ["sh", "-c", "echo x >>mark; echo 1"]\n')
    const commandId = ulid()
    await run('mark', {}, { commandId })
    await run('mark', {}, { commandId })
    await final(commandId)
    await run('mark', {}, { commandId })
    await expect.poll(() => events.filter((event) => event.type === 'command_result')).toHaveLength(2)
    expect(events.filter((event) => event.type === 'command_ack')).toHaveLength(1)
    expect(await readFile(join(home, 'mark'), 'utf8')).toBe('x\n')
  })
  it('says again how a command ended, and calls one that it has no record of interrupted, for good (C-5)', async () => {
    const { run, final, runner, events } = await setUp('[commands.one]\nrun = ["echo", "1"]\n')
    const commandId = await run('one', {})
    await final(commandId)
    runner.dispatch({ type: 'tell', commandId, command: 'one' })
    await expect.poll(() => events.filter((event) => event.type === 'command_result')).toHaveLength(2)
    const forgotten = ulid()
    runner.dispatch({ type: 'tell', commandId: forgotten, command: 'one' })
    expect(await final(forgotten)).toMatchObject({ state: 'interrupted', error: { code: 'INTERRUPTED' } })
    await run('one', {}, { commandId: forgotten })
    await expect
      .poll(() => events.filter((event) => 'commandId' in event && event.commandId === forgotten))
      .toMatchObject([{ state: 'interrupted' }, { state: 'interrupted' }])
  })
  it('told to stop lets what runs end and begins nothing; what waited runs in the next process', async () => {
    const { home, run, final, events, runner, restart } = await setUp(
      '[commands.mark]\nrun = ["sh", "-c", "echo x >>mark; sleep 0.5; echo 1"]\nconcurrency = 1\n',
    )
    const [running, waiting] = [await run('mark', {}), await run('mark', {})]
    while (!events.some((event) => event.type === 'command_ack')) await sleep(5)
    const drained = runner.drain(30_000)
    const late = await run('mark', {})
    await drained
    expect(await final(running)).toMatchObject({ type: 'command_result' })
    await sleep(100)
    expect(await readFile(join(home, 'mark'), 'utf8')).toBe('x\n')
    expect(events.filter((event) => 'commandId' in event && event.commandId !== running)).toEqual([])
    await restart()
    for (const commandId of [waiting, late]) await run('mark', {}, { commandId })
    for (const commandId of [waiting, late]) expect(await final(commandId)).toMatchObject({ type: 'command_result' })
  })
  it('waits no longer than it is told to', async () => {
    const { run, events, runner } = await setUp('[commands.slow]\nrun = ["sleep", "60"]\n')
    const commandId = await run('slow', {})
    while (!events.some((event) => event.type === 'command_ack')) await sleep(5)
    await runner.drain(20)
    runner.dispatch({ type: 'cancel', commandId })
  })
  it('rejects what it does not know', async () => {
    const { run, final } = await setUp('[commands]\n')
    expect(await final(await run('nothing', {}))).toMatchObject({
      state: 'rejected',
      error: { code: 'UNKNOWN_COMMAND' },
    })
  })
  it('cancels a running command', async () => {
    const { run, final, runner, events } = await setUp('[commands.slow]\nrun = ["sleep", "60"]\n')
    const commandId = await run('slow', {})
    while (!events.some((event) => event.type === 'command_ack')) await sleep(5)
    runner.dispatch({ type: 'cancel', commandId })
    expect(await final(commandId)).toMatchObject({ state: 'cancelled', error: { code: 'CANCELLED' } })
  })
  it('lets a command expire that waited longer than its time to live', async () => {
    const { run, final } = await setUp('[commands.slow]\nrun = ["sh", "-c", "sleep 0.3; echo 1"]\nconcurrency = 1\n')
    const first = await run('slow', {})
    const second = await run('slow', {}, { ttlMs: 50 })
    expect(await final(second)).toMatchObject({ state: 'expired', error: { code: 'EXPIRED' } })
    expect(await final(first)).toMatchObject({ type: 'command_result' })
  })
  it('does not start what came too late, however quick it would be', async () => {
    const { run, final, home } = await setUp('[commands.mark]\nrun = ["sh", "-c", "echo x >>mark; echo 1"]\n')
    for (const ttlMs of [0, -5_000])
      expect(await final(await run('mark', {}, { ttlMs }))).toMatchObject({ state: 'expired' })
    await expect(readFile(join(home, 'mark'))).rejects.toThrow('ENOENT')
  })
  it('runs commands of one session in order, one at a time', async () => {
    const { home, run, final } = await setUp(
      '[commands.log]\nrun = ["sh", "-c", "echo in $1 >>log; sleep 0.05; echo out $1 >>log; echo 1", "sh", "{word}"]\n',
    )
    const ids = await Promise.all(['a', 'b', 'c'].map((word) => run('log', { sessionId: 'p_s', word })))
    await Promise.all(ids.map(final))
    expect(await readFile(join(home, 'log'), 'utf8')).toBe('in a\nout a\nin b\nout b\nin c\nout c\n')
  })
})

describe('CommandRunner after a restart', () => {
  const MARK = '[commands.mark]\nrun = ["sh", "-c", "echo x >>mark; echo 1"]\n'

  it('answers a repeated id as before, and tells the relay how it ended', async () => {
    const { home, run, final, events, restart } = await setUp(MARK)
    const commandId = await run('mark', {})
    const first = await final(commandId)
    const rejected = await run('nothing', {})
    await final(rejected)
    await expect.poll(async () => (await restart()).runner.known()).toHaveLength(2)
    const { runner } = await restart()
    expect(runner.known()).toEqual([
      { commandId, state: 'succeeded' },
      { commandId: rejected, state: 'rejected' },
    ])
    events.length = 0
    await run('mark', {}, { commandId })
    expect(await final(commandId)).toEqual(first)
    runner.dispatch({ type: 'cancel', commandId })
    await expect.poll(() => events).toEqual([first, first])
    expect(await readFile(join(home, 'mark'), 'utf8')).toBe('x\n')
  })
  it('brings what was cut off to an end and never runs it again', async () => {
    const { run, final, events, restart } = await setUp(
      '[commands.slow]\nrun = ["sh", "-c", "echo x >>mark; sleep 60"]\n',
    )
    const commandId = await run('slow', { projectId: 'p' })
    await expect.poll(() => events.map(({ type }) => type)).toEqual(['command_ack'])
    const { runner } = await restart()
    const settled = runner.recover(async (unfinished) => {
      expect(unfinished).toMatchObject({ commandId, command: 'slow', projectId: 'p' })
      expect(runner.known()).toEqual([{ commandId, state: 'running' }])
      return {
        type: 'command_error',
        commandId,
        command: 'slow',
        state: 'interrupted',
        error: { code: 'INTERRUPTED', message: 'cut off' },
      }
    })
    await settled
    expect(await final(commandId)).toMatchObject({ state: 'interrupted' })
    await run('slow', { projectId: 'p' }, { commandId })
    await expect.poll(() => events.filter(({ type }) => type === 'command_error')).toHaveLength(2)
    expect(events.filter(({ type }) => type === 'command_ack')).toHaveLength(1)
    expect((await restart()).journal.unfinished).toEqual([])
  })
  it('does not run what was made before its journal was damaged', async () => {
    const { home, run, final, restart, journal } = await setUp(MARK)
    await journal[Symbol.asyncDispose]()
    const commandId = ulid(Date.now() - 1_000)
    await writeFile(join(home, 'orchestrator/journal.db'), 'rubbish')
    await restart()
    await run('mark', {}, { commandId })
    expect(await final(commandId)).toMatchObject({ state: 'interrupted', error: { code: 'INTERRUPTED' } })
    await sleep(2)
    expect(await final(await run('mark', {}))).toMatchObject({ type: 'command_result' })
    expect(await readFile(join(home, 'mark'), 'utf8')).toBe('x\n')
  })
})

describe('commands that wait', () => {
  const SLOW = '[commands.slow]\nrun = ["sleep", "60"]\n'

  it('are cancelled or expire at once, while what they wait for goes on', async () => {
    const { run, final, events, runner } = await setUp(SLOW)
    const first = await run('slow', { sessionId: 'p_s' })
    const [cancelled, expired] = [
      await run('slow', { sessionId: 'p_s' }),
      await run('slow', { sessionId: 'p_s' }, { ttlMs: 50 }),
    ]
    await expect.poll(() => events.map(({ type }) => type)).toContain('command_ack')
    runner.dispatch({ type: 'cancel', commandId: cancelled })
    expect(await final(cancelled)).toMatchObject({ state: 'cancelled', error: { code: 'CANCELLED' } })
    expect(await final(expired)).toMatchObject({ state: 'expired', error: { code: 'EXPIRED' } })
    expect(runner.known()).toContainEqual({ commandId: first, state: 'running' })
    expect(events.filter(({ type }) => type === 'command_ack')).toHaveLength(1)
    runner.dispatch({ type: 'cancel', commandId: first })
    await final(first)
  })
})

describe('commands.toml', () => {
  it.each([
    ['[commands.x]\n', 'needs either'],
    ['[commands.x]\nrun = ["a"]\nmodule = "b"\n', 'needs either'],
    ['[commands.x]\nrun = ["a"]\nfoo = 1\n', 'foo'],
    ['[commands.create_session]\nrun = ["a"]\n', 'built-in'],
    ['[commands.x\n', 'not valid TOML'],
    ['[commands.x]\nrun = ["a"]\ninput = { type = "nonsense" }\n', 'JSON Schema'],
  ])('is refused with the reason: %j', async (toml, reason) => {
    await expect(setUp(toml)).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(reason) })
  })
})
