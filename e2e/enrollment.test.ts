import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exec, removeSessions, until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'

const root = join(import.meta.dirname, '..')
const aio = join(root, 'apps/cli/bin/aio.js')

let relay: RelayProcess
let client: Client
let directory: string
const running = new Set<ChildProcess>()
/** All that the orchestrators of this test have printed. */
let printed = ''

beforeAll(async () => {
  relay = await startRelayProcess({ env: { LOG_LEVEL: 'trace' } })
  client = createClient({ url: relay.wsUrl, token: relay.token })
  directory = await mkdtemp(join(tmpdir(), 'aio-enroll-'))
})
afterAll(async () => {
  for (const child of running) child.kill('SIGTERM')
  for (const name of await readdir(directory))
    await removeSessions(join(directory, name, 'run'), join(directory, name, 'projects'))
  await client.close()
  await relay[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** Runs `aio … --json` as an admin. */
async function admin<T>(...args: string[]): Promise<T> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: directory, RELAY_URL: relay.wsUrl, AUTH_TOKEN: relay.token }
  return JSON.parse(await exec(process.execPath, [aio, ...args, '--json'], env)) as T
}

interface Machine {
  aioHome: string
  output(): string
  ended: Promise<number | null>
  child: ChildProcess
}

/** Starts `aio orchestrator`, as its admin types it; on a machine of its own when there is a machine id. */
function startMachine(name: string, args: readonly string[], machineId?: string): Machine {
  const home = join(directory, name)
  const command = [process.execPath, aio, 'orchestrator', ...args]
  const mounted = ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/machine-id && exec "$@"', machineId ?? '']
  const [file = '', ...rest] = machineId === undefined ? command : [...mounted, ...command]
  const child = spawn(file, rest, {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: home,
      AIO_HOME: join(home, 'aio'),
      AIO_RUN: join(home, 'run'),
      PROJECTS_DIR: join(home, 'projects'),
      ORCHESTRATOR_NAME: name,
      LOG_LEVEL: 'trace',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      printed += text
    })
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  return { aioHome: join(home, 'aio'), output: () => output, ended, child }
}

async function isOnline(name: string): Promise<boolean> {
  const all = await client.orchestrators.list.query()
  return all.some((one) => one.name === name && one.state === 'online')
}

async function stop(machine: Machine): Promise<void> {
  machine.child.kill('SIGTERM')
  await machine.ended
}

describe('a machine that joins with a code', () => {
  test('comes with the printed command, comes again without it, and its copy does not (A-08, F-12)', async () => {
    const { code, command } = await admin<{ code: string; command: string }>('orchestrators', 'enroll', '--name', 'one')
    expect(command).toContain(`--enroll ${code}`)
    const args = command.slice(command.indexOf('aio orchestrator ') + 'aio orchestrator '.length).split(' ')
    const first = startMachine('one', args)
    await until(() => isOnline('one'), 60_000, first.output)
    const file = join(first.aioHome, 'orchestrator/host.json')
    expect((await stat(file)).mode & 0o777).toBe(0o600)

    // Started again, as a service would: neither code nor address nor AUTH_TOKEN.
    await stop(first)
    const again = startMachine('one', [])
    await until(() => isOnline('one'), 60_000, again.output)

    // The same code on another machine.
    const late = startMachine('late', args)
    expect(await late.ended).not.toBe(0)
    expect(late.output()).toMatch(/code was revoked or used up/)

    // The disk on another machine.
    await mkdir(join(directory, 'copy'))
    await exec('cp', ['-a', first.aioHome, join(directory, 'copy/aio')])
    const machineId = join(directory, 'machine-id')
    await writeFile(machineId, 'f'.repeat(32))
    const copy = startMachine('copy', [], machineId)
    expect(await copy.ended).not.toBe(0)
    expect(copy.output()).toMatch(/--replace/)
    expect(await isOnline('one')).toBe(true)

    const [secret] = await secretsOf(first)
    const tokens = await client.tokens.list.query()
    const own = tokens.find(({ role, name }) => role === 'orchestrator' && name === 'one')
    expect(own).toBeDefined()
    await admin('tokens', 'revoke', own?.id ?? '')
    expect(await again.ended).not.toBe(0)
    await until(async () => !(await isOnline('one')), 20_000)
    await noTraceOf([relay.token, code, secret ?? ''])
  }, 180_000)

  test('of two with one code one joins', async () => {
    const { code } = await admin<{ code: string }>('orchestrators', 'enroll')
    const args = ['--relay', relay.wsUrl, '--enroll', code]
    const both = [startMachine('left', args), startMachine('right', args)]
    await Promise.race(both.map(({ ended }) => ended))
    await until(async () => (await isOnline('left')) || (await isOnline('right')), 60_000)
    expect((await isOnline('left')) && (await isOnline('right'))).toBe(false)
    for (const machine of both) await stop(machine)
  }, 120_000)
})

async function secretsOf(machine: Machine): Promise<string[]> {
  const { token } = JSON.parse(await readFile(join(machine.aioHome, 'orchestrator/host.json'), 'utf8')) as {
    token: string
  }
  return [token]
}

/** No token is in what the relay keeps, in any output, or in the arguments of a process that runs. */
async function noTraceOf(secrets: readonly string[]): Promise<void> {
  const files = (await readdir(relay.aioHome, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  )
  expect(files.map(({ name }) => name)).toContain('relay.db')
  const kept = await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')))
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commandLines = await Promise.all(
    processes.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')), // it may have ended
  )
  const said = relay.output() + printed
  expect(said).toContain('state-changing call')
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(31)
    // The last part is the secret itself; what comes before it is a name.
    const text = secret.split('_').at(-1) ?? ''
    for (const [index, content] of kept.entries()) expect(content.includes(text), files[index]?.name).toBe(false)
    expect(said.includes(text)).toBe(false)
    expect(commandLines.filter((line) => line.includes(text))).toEqual([])
  }
}

test('a token is limited with --project and --machine, and the limits are changed and lifted', async () => {
  type Made = { token: string; info: { id: string; projects?: string[]; orchestrators?: string[] } }
  const options = ['--role', 'operator', '--name', 'ci', '--project', 'shop', '--project', 'blog']
  const { token, info } = await admin<Made>('tokens', 'create', ...options)
  expect(info.projects).toEqual(['shop', 'blog'])
  await using own = createClient({ url: relay.wsUrl, token })
  expect(await own.auth.whoami.query()).toMatchObject({ roles: ['operator'], projects: ['shop', 'blog'] })
  await expect(own.projects.get.query({ projectId: 'other' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  const changed = await admin<Made['info']>('tokens', 'change', info.id, '--role', 'viewer', '--all-projects')
  expect(changed).toMatchObject({ role: 'viewer' })
  expect(changed.projects).toBeUndefined()
})
