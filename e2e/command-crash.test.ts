import { randomInt } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  type Command,
  createClient,
  isFinal,
  LINK_VERSION,
  newCommandId,
  VERSION,
} from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OrchestratorProcess, orchestratorFor } from './harness/orchestrator-process.ts'
import { exec, makeRepository, startPlatform, until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'

/** The same moments in every run; AIO_SEED picks others, for a longer test. */
const SEED = Number(process.env['AIO_SEED'] ?? 7)
/** The promise: a command that was cut off is resolved so soon after its orchestrator is back (C-5), in milliseconds. */
const RESOLVED_WITHIN_MS = 60_000

let relay: RelayProcess
let orchestrator: OrchestratorProcess
let aio: Client
let repository: string
let random = SEED
/** How often each command was said to have ended. */
const ends = new Map<string, number>()

beforeAll(async () => {
  relay = await startRelayProcess()
  orchestrator = await orchestratorFor(relay)
  await mkdir(orchestrator.aioHome)
  await writeFile(
    join(orchestrator.aioHome, 'commands.toml'),
    '[commands.mark]\nrun = ["sh", "-c", "echo x >>\\"$1\\"; sleep 1; echo 1", "sh", "{file}"]\n',
  )
  aio = createClient({ url: relay.wsUrl, token: relay.token })
  orchestrator.start()
  await untilOnline(true)
  void countEnds(aio)
  repository = await makeRepository(orchestrator.home, 200)
  await aio.projects.create.mutate({ name: 'demo' })
}, 120_000)
afterAll(async () => {
  await aio?.close()
  await orchestrator?.[Symbol.asyncDispose]()
  await relay?.[Symbol.asyncDispose]()
})

async function countEnds(client: Client): Promise<void> {
  for await (const event of client.events({ types: ['command_result', 'command_error'] }))
    if ('commandId' in event && event.commandId !== undefined)
      ends.set(event.commandId, (ends.get(event.commandId) ?? 0) + 1)
}

async function untilOnline(isOnline: boolean): Promise<void> {
  await until(
    async () => (await aio.orchestrators.list.query()).some(({ state }) => state === 'online') === isOnline,
    60_000,
    () => `the orchestrator is not ${isOnline ? 'online' : 'offline'}:\n${orchestrator.output()}`,
  )
}

async function killOrchestrator(): Promise<void> {
  await orchestrator.kill()
  await untilOnline(false)
  orchestrator.start()
  await untilOnline(true)
}

/** A number from 0 to `max` that is the same in every run (a linear congruence, as in C's rand). */
function nextRandom(max: number): number {
  random = (random * 1_103_515_245 + 12_345) % 2 ** 31
  return Math.floor((random / 2 ** 31) * max)
}

/** Kills the orchestrator so long after a command was asked for, or when one of its steps begins. */
type Moment = number | string

/** Asks for a command, kills the orchestrator at a moment, and gives the command's final state. */
async function cutOff(request: { command: string; input: unknown }, moment: Moment): Promise<Command> {
  const commandId = newCommandId()
  const hasComeTo = typeof moment === 'number' ? sleep(moment) : untilStep(commandId, moment)
  const answer = aio.commands.run.mutate({ commandId, ...request })
  answer.catch(() => undefined)
  await hasComeTo
  await killOrchestrator()
  const command = await finalState(commandId)
  const again = await aio.commands.run.mutate({ commandId, ...request })
  expect(again).toEqual(command)
  expect(await answer).toEqual(command)
  return again
}

async function untilStep(commandId: string, name: string): Promise<void> {
  for await (const event of aio.events({ types: ['command_progress'] }))
    if (event.type === 'command_progress' && event.commandId === commandId && event.step?.name === name) return
}

async function finalState(commandId: string): Promise<Command> {
  const deadline = performance.now() + RESOLVED_WITHIN_MS
  for (;;) {
    const command = await aio.commands.get.query({ commandId })
    if (isFinal(command.state)) return command
    if (performance.now() > deadline) throw new Error(`the command is still ${command.state}`)
    await sleep(50)
  }
}

const moments = (count: number, maxMs: number) => Array.from({ length: count }, () => nextRandom(maxMs))

describe('C-2, C-4, C-5 kill -9 of the orchestrator during a command', () => {
  it.each([0, 100, ...moments(2, 900)])('a program is started once, cut off after %i ms', async (afterMs) => {
    const file = join(orchestrator.home, `mark-${randomInt(1_000_000)}`)
    const { state, error } = await cutOff({ command: 'mark', input: { file } }, afterMs)
    const marks = await readFile(file, 'utf8').catch(() => '')
    expect(marks.length / 2).toBeLessThanOrEqual(1)
    expect(['interrupted', 'succeeded']).toContain(state)
    if (state === 'interrupted') expect(error).toMatchObject({ code: 'INTERRUPTED', details: { completed: [] } })
    else expect(marks).toBe('x\n')
  })

  it.each<Moment>(['Record', 'Worktree', 'Workspace', 'Container', 'Isolation', ...moments(2, 200)])(
    'a session is there or not at all, cut off at %s',
    async (moment) => {
      const name = `cut-${moment}`.toLowerCase()
      const input = { projectId: 'demo', name, agent: 'shell' }
      const { state, error } = await cutOff({ command: 'create_session', input }, moment)
      expect(['interrupted', 'failed', 'succeeded']).toContain(state)
      if (state !== 'succeeded') expect(error?.details).toMatchObject({ completed: expect.any(Array) })
      const sessions = await aio.sessions.list.query({ projectId: 'demo' })
      const session = sessions.find((session) => session.name === name)
      if (state === 'failed') {
        expect(session).toBeUndefined()
        const left = [join(orchestrator.projectsDir, 'demo'), join(orchestrator.projectsDir, 'demo/.bundles')]
        for (const directory of left) expect(await readdir(directory)).not.toContain(`demo_${name}`)
        await aio.sessions.create.mutate(input)
      } else {
        expect(session?.state).toBe('running')
      }
      await aio.sessions.terminate.mutate({ sessionId: `demo_${name}`, force: true })
    },
  )

  it.each<Moment>(['Repository', 'Project', ...moments(2, 150)])(
    'a project is there or not at all, cut off at %s',
    async (moment) => {
      const name = `project-${moment}`.toLowerCase()
      const { state } = await cutOff({ command: 'create_project', input: { name, repoUrl: repository } }, moment)
      const entries = await readdir(orchestrator.projectsDir)
      expect(entries.filter((entry) => entry.startsWith('.creating-'))).toEqual([])
      const projects = (await aio.projects.list.query()).map(({ id }) => id)
      expect(projects.includes(name)).toBe(entries.includes(name))
      if (state === 'failed') expect(entries).not.toContain(name)
      else expect(entries).toContain(name)
    },
  )
})

it('every command ended once, also for those who watched', () => {
  expect(ends.size).toBeGreaterThan(10)
  expect(new Set(ends.values())).toEqual(new Set([1]))
})

describe('E-5 the outbox', () => {
  it('brings an end to the relay that came about while the relay was down, after a crash of the orchestrator', async () => {
    const file = join(orchestrator.home, 'mark-outbox')
    const commandId = newCommandId()
    const answer = aio.commands.run.mutate({ commandId, command: 'mark', input: { file } })
    answer.catch(() => undefined)
    await until(async () => (await readFile(file, 'utf8').catch(() => '')) === 'x\n')
    await relay.kill()
    await sleep(2_000) // it ends meanwhile
    await orchestrator.kill()
    await relay.restart()
    orchestrator.start()
    await untilOnline(true)
    await until(async () => (await aio.commands.get.query({ commandId }).catch(() => undefined))?.state === 'succeeded')
    expect(await readFile(file, 'utf8')).toBe('x\n')
  })
})

describe('what a project creation left', () => {
  it('stays while a process uses it and is removed after that', async () => {
    const path = join(orchestrator.projectsDir, '.creating-used-AbCd12')
    await exec('mkdir', [path])
    const user = exec('env', ['-C', path, 'sleep', '6'])
    await sleep(100)
    await killOrchestrator()
    expect(await readdir(orchestrator.projectsDir)).toContain('.creating-used-AbCd12')
    await user
    await until(async () => !(await readdir(orchestrator.projectsDir)).includes('.creating-used-AbCd12'))
  })
})

describe('C-9 another process with the same id', () => {
  it('takes the place of the first one, which ends, says why and is not started again', async () => {
    await using platform = await startPlatform()
    const id = (await readFile(join(platform.aioHome, 'orchestrator/id'), 'utf8')).trim()
    const pid = await platform.pidOf('orchestrator')
    await using other = platform.client()
    await other.orchestrator.register.mutate({
      linkVersion: LINK_VERSION,
      orchestrator: {
        id,
        name: 'other',
        version: VERSION,
        machine: { cores: 1, memoryBytes: 1, kernel: 'none' },
        agents: [],
        isolation: 'full',
        warnings: [],
      },
      commands: [],
      projects: [],
      sessions: [],
      known: [],
    })
    await until(() => platform.output().includes("Another process with this orchestrator's id"))
    await until(
      async () =>
        await readFile(`/proc/${pid}/stat`).then(
          () => false,
          () => true,
        ),
    )
    await sleep(1_500) // longer than the pause before a restart
    await expect(platform.pidOf('orchestrator')).rejects.toThrow('no child')
    expect(other.status.state).toBe('connected')
  })
})
