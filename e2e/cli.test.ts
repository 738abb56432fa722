import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, type StreamFrame, type StreamOrder } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exec, until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator, sessionOf } from './harness/scripted-orchestrator.ts'

const bin = join(import.meta.dirname, '../apps/cli/bin/aio.js')

let relay: RelayProcess
let machine: ScriptedOrchestrator
let home: string

/** A terminal that echoes, says how it was resized, and ends when told `bye`. */
function terminal() {
  const viewers = new Set<string>()
  let offset = 0
  return (order: StreamOrder, send: (...frames: StreamFrame[]) => void) => {
    const show = (streamId: string, data: string): StreamFrame => {
      offset += data.length
      return { type: 'terminal', streamId, item: { type: 'data', offset, data } }
    }
    switch (order.type) {
      case 'open_terminal':
        viewers.add(order.streamId)
        send({
          type: 'terminal',
          streamId: order.streamId,
          item: {
            type: 'replay',
            offset,
            cols: 80,
            rows: 24,
            data: `\u001b[32mwelcome ${order.size?.cols ?? 'any'}\u001b[0m\r\n`,
          },
        })
        return
      case 'terminal_input':
        for (const id of viewers) send(show(id, `<${order.data.replaceAll('\r', 'CR')}>`))
        // What an editor does: the other screen, mouse, bracketed paste, a hidden cursor, and a question to the terminal.
        if (order.data.includes('m'))
          for (const id of viewers) send(show(id, '\u001b[?1000h\u001b[?2004h\u001b[?25l\u001b[6n'))
        if (order.data.includes('q'))
          for (const id of viewers)
            send(
              {
                type: 'terminal',
                streamId: id,
                item: { type: 'exit', offset, exit: { reason: 'exited', code: 3, at: '2026-01-01T00:00:00.000Z' } },
              },
              { type: 'closed', streamId: id },
            )
        return
      case 'terminal_resize':
        for (const id of viewers) send(show(id, `[${order.size.cols}x${order.size.rows}]`))
        return
      case 'open_stats':
        return
      case 'open_exec': {
        const { streamId, request } = order
        const out = (type: 'stdout' | 'stderr', text: string): StreamFrame => ({
          type: 'exec',
          streamId,
          item: { type, data: Buffer.from(text).toString('base64') },
        })
        if (request.argv[0] === 'cat') return
        send(
          out('stdout', `${JSON.stringify(request.argv)}\n`),
          out('stderr', 'to stderr\n'),
          { type: 'exec', streamId, item: { type: 'exit', code: 7 } },
          { type: 'closed', streamId },
        )
        return
      }
      case 'write':
        send({ type: 'exec', streamId: order.streamId, item: { type: 'stdout', data: order.data } })
        return
      case 'end':
        send(
          { type: 'exec', streamId: order.streamId, item: { type: 'exit', code: 0 } },
          { type: 'closed', streamId: order.streamId },
        )
        return
      case 'close':
        viewers.delete(order.streamId)
        return
      case 'open_export':
        send(
          {
            type: 'exec',
            streamId: order.streamId,
            item: { type: 'stdout', data: Buffer.from(order.request.format).toString('base64') },
          },
          { type: 'exec', streamId: order.streamId, item: { type: 'exit', code: 0 } },
        )
        return
      case 'credit':
      case 'secrets':
      case 'open_chat':
        return
      default:
        order satisfies never
    }
  }
}

beforeAll(async () => {
  relay = await startRelayProcess()
  home = await mkdtemp(join(tmpdir(), 'aio-cli-'))
  machine = new ScriptedOrchestrator(relay, {
    stream: terminal(),
    run: async ({ command, commandId }, tell) => {
      tell({ type: 'command_progress', commandId, step: { name: 'worktree', state: 'done', ms: 12 } })
      // What is done at once needs no progress, and its result may come first.
      await sleep(50)
      if (command === 'create_session') return sessionOf(machine.id, 'first')
      if (command === 'terminate_session') throw new AioError('WORK_AT_RISK', 'notes.txt would be lost. Use --force.')
      if (command === 'slow') await sleep(5_000)
      return { done: command }
    },
  })
  await machine.ready()
})

afterAll(async () => {
  await machine[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
})

function environment(): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    AIO_HOME: join(home, 'aio'),
    RELAY_URL: relay.wsUrl,
    AUTH_TOKEN: relay.token,
    TERM: 'xterm-256color',
  }
}

async function aio(args: string[], options: { env?: Record<string, string | undefined>; input?: string } = {}) {
  const child = spawn(process.execPath, [bin, ...args], { env: { ...environment(), ...options.env }, stdio: 'pipe' })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    text.stdout += data
  })
  child.stderr.on('data', (data) => {
    text.stderr += data
  })
  child.stdin.end(options.input ?? '')
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, ...text }
}

test('people get tables and sentences, programs one JSON value', async () => {
  const table = await aio(['sessions', 'list'])
  expect(table.stdout).toMatch(/SESSION\s+STATE/)
  expect(table.stdout).toContain('demo_first')
  expect(table.stdout).not.toContain('\u001b')
  const json = await aio(['sessions', 'list', 'demo', '--json'])
  expect(JSON.parse(json.stdout)).toHaveLength(2)
  expect((await aio(['--json', 'list-sessions', 'demo'])).stdout).toBe(json.stdout)
})

test('progress goes to stderr, the result to stdout, under the original spelling too', async () => {
  const made = await aio(['create-session', 'demo', 'first', '--json'])
  expect(JSON.parse(made.stdout)).toMatchObject({ id: 'demo_first' })
  expect(made.stderr).toContain('worktree done (12 ms)')
  expect((await aio(['sessions', 'create', 'demo', 'first', '--agent', 'shell'])).stdout).toContain(
    'aio sessions attach demo_first',
  )
})

test('exit codes and errors are those of the contract', async () => {
  const risk = await aio(['sessions', 'terminate', 'first', '--json'])
  expect([risk.code, JSON.parse(risk.stdout)]).toMatchObject([1, { error: { code: 'WORK_AT_RISK' } }])
  const usage = await aio(['sessions', 'terminat', 'x'])
  expect(usage).toMatchObject({ code: 2, stdout: '' })
  expect(usage.stderr).toContain('terminate')
  const usageJson = await aio(['sessions', 'create', 'demo', '--json'])
  expect([usageJson.code, JSON.parse(usageJson.stdout)]).toMatchObject([2, { error: { code: 'INVALID_INPUT' } }])
  expect((await aio(['projects', 'create', 'A;touch x', '--json'])).code).toBe(2)
  expect((await aio(['projects', 'list', '--relay', 'ws://127.0.0.1:9/ws', '--timeout', '1'])).code).toBe(3)
  expect((await aio(['projects', 'list', '--token', 'y'.repeat(40)])).code).toBe(4)
  expect((await aio(['run', 'slow', '--timeout', '300ms', '--json'])).code).toBe(5)
  expect((await aio(['sessions', 'attach', 'demo_first'])).code).toBe(2)
})

test('a token given on the command line is never repeated', async () => {
  const secret = 'secret-token-of-forty-characters-0123456'
  for (const args of [['projects', 'list'], ['login'], ['tokens', 'list'], ['events', '--json']]) {
    const { stdout, stderr } = await aio([...args, '--token', secret])
    expect(stdout + stderr).not.toContain(secret)
  }
})

test('exec keeps outputs apart, passes the program its own options, and ends with its status', async () => {
  const result = await aio(['sessions', 'exec', 'demo_first', 'ls', '-la', '--json'])
  expect(result).toEqual({ code: 7, stdout: '["ls","-la","--json"]\n', stderr: 'to stderr\n' })
  expect((await aio(['sessions', 'exec', 'first', '--', 'sh', '-c', 'x'])).stdout).toBe('["sh","-c","x"]\n')
  expect(await aio(['sessions', 'exec', 'first', '--', 'cat'], { input: 'hello' })).toEqual({
    code: 0,
    stdout: 'hello',
    stderr: '',
  })
  expect((await aio(['sessions', 'exec', 'nobody', '--', 'cat'])).code).toBe(125)
})

test('logs prints the screen as plain text', async () => {
  expect((await aio(['sessions', 'logs', 'demo_first'])).stdout).toBe('welcome any\n')
})

test('login keeps a device token readable by nobody else, logout revokes it', async () => {
  const env = { AUTH_TOKEN: undefined, RELAY_URL: undefined }
  const link = JSON.parse((await aio(['login', '--json'])).stdout) as { url: string }
  expect(link.url).toMatch(/\/login#code=.+/)
  const done = await aio(['login', link.url, '--json'], { env })
  expect(JSON.parse(done.stdout)).toMatchObject({ roles: ['admin'] })
  const file = join(home, 'aio/login.json')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const { token } = JSON.parse(await readFile(file, 'utf8')) as { token: string }
  expect(done.stdout + done.stderr).not.toContain(token)
  expect((await aio(['projects', 'list'], { env })).code).toBe(0)
  expect((await aio(['login', relay.wsUrl, '--token', '-'], { env, input: relay.token })).code).toBe(0)
  expect((await aio(['logout'], { env })).code).toBe(0)
  expect((await aio(['projects', 'list', '--relay', relay.wsUrl], { env })).code).toBe(4)
})

test('Ctrl-C while waiting says that the command goes on', async () => {
  const child = spawn(process.execPath, [bin, 'run', 'slow'], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (data) => {
    said += data
  })
  await until(() => said.includes('worktree'))
  child.kill('SIGINT')
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130)
  expect(said).toMatch(/goes on.*aio commands get [0-9A-Z]{26}/)
})

test('attach shows, types, resizes, leaves both ways, and gives the terminal back', async () => {
  const socket = join(home, 'tmux.sock')
  const tmux = (...args: string[]) =>
    exec('tmux', ['-f', '/dev/null', '-S', socket, ...args], { ...environment(), LANG: 'C.UTF-8' })
  const screen = () => tmux('capture-pane', '-p', '-t', '=t:')
  const flags = () =>
    tmux(
      'display-message',
      '-p',
      '-t',
      '=t:',
      '#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{pane_current_command}',
    )
  const type = (...keys: string[]) => tmux('send-keys', '-t', '=t:', ...keys)
  const shows = (text: string) =>
    until(
      async () => (await screen()).includes(text),
      20_000,
      () => `no ${text}`,
    )
  await tmux('new-session', '-d', '-s', 't', '-x', '90', '-y', '30', 'sh')
  try {
    await type(`PS1='$ '; clear; echo before; ${process.execPath} ${bin} sessions attach first`, 'Enter')
    await shows('welcome 90')
    expect(await flags()).toMatch(/^1 0 1 node/)
    await type('m')
    await shows('<m>')
    await until(async () => /^1 1 0/.test(await flags()))
    await type('Enter')
    await shows('<CR>')
    await tmux('resize-window', '-t', '=t:', '-x', '100', '-y', '40')
    await shows('[100x40]')
    await type('C-]')
    await shows('Left demo_first; the session goes on.')
    expect(await screen()).toContain('before')
    expect(await screen()).not.toContain('welcome')
    await until(async () => /^0 0 1 sh/.test(await flags()))

    await type(`${process.execPath} ${bin} sessions attach demo_first`, 'Enter')
    await shows('welcome 100')
    await type('Enter')
    await shows('<CR>')
    await type('-l', '~.')
    await until(async () => (await screen()).split('Left demo_first').length === 3)

    await type(`${process.execPath} ${bin} sessions attach demo_first`, 'Enter')
    await shows('welcome 100')
    await type('q')
    await shows('Session demo_first has ended with status 3.')
    await until(async () => /^0 0 1 sh/.test(await flags()))
    await type('echo typed normally', 'Enter')
    await shows('\ntyped normally')
  } finally {
    await tmux('kill-server')
  }
})
