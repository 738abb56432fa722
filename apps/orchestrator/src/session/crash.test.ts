import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { containerIdOf } from '@ai-orchestration/protocol'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { TestMachine } from './test-machine.ts'

const CHILD = fileURLToPath(new URL('test-crash.ts', import.meta.url))
const ID = 'demo_one'
const CREATE = ['Record', 'Worktree', 'Base', 'Home', 'Workspace', 'Container', 'Isolation']
const TERMINATE = ['Stop', 'Commits', 'Archive', 'Remove']
// The others are those of a creation.
const COPY: [string, string, string][] = [
  ['fork', 'Record', 'done'],
  ['fork', 'Home', 'running'],
  ['fork', 'Settle', 'running'],
  ['fork', 'Container', 'running'],
  ['restore', 'Verify', 'done'],
  ['restore', 'Commits', 'done'],
  ['restore', 'Home', 'done'],
  ['restore', 'Settle', 'done'],
  ['restore', 'Isolation', 'running'],
]
const points = (steps: string[]) => steps.flatMap((step) => [[step, 'running'] as const, [step, 'done'] as const])

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())
afterEach(async () => {
  if (machine.sessions.get(ID) !== undefined) await machine.terminate(ID, true)
  await machine.git('demo', 'branch', '-D', 'feature/one')
})

const archives = () => join(machine.home, 'archives')

async function crash(command: string, step: string, state: string): Promise<void> {
  await machine.sessions[Symbol.asyncDispose]()
  const { signal, stderr } = await run(process.execPath, [CHILD, machine.dir, command, step, state], {
    allowFailure: true,
  })
  expect({ signal, stderr }).toEqual({ signal: 'SIGKILL', stderr: '' })
  await machine.openSessions()
  await machine.sessions.adopt()
}

/** A session is there with all of its parts, or nothing of it is. */
async function expectAllOrNothing(): Promise<'all' | 'nothing'> {
  const { dir, bundles, bases } = machine.projects.paths('demo')
  const session = machine.sessions.get(ID)
  const worktrees = await machine.git('demo', 'worktree', 'list', '--porcelain')
  expect((await readdir(bundles)).filter((name) => name !== ID && name !== 'demo_source')).toEqual([])
  expect((await readdir(bases)).filter((name) => name.startsWith('.'))).toEqual([])
  if (session === undefined) {
    expect(await machine.leftovers(ID)).toEqual([])
    expect(worktrees).not.toContain(ID)
    await expect(stat(join(dir, ID))).rejects.toMatchObject({ code: 'ENOENT' })
    return 'nothing'
  }
  expect(session.state).not.toBe('starting')
  expect(worktrees).toContain(ID)
  expect((await machine.sessions.workAtRisk(ID)).operations).toEqual([])
  if (session.state === 'running') {
    expect((await machine.inside(ID, 'git status --short; echo alive')).out).toContain('alive')
    expect((await machine.tmux.list()).filter(({ name }) => name === containerIdOf(ID))).toHaveLength(1)
  }
  return 'all'
}

describe('F-04 kill -9 at each step of a creation', () => {
  it.each(points(CREATE))('%s %s: the session is there or it is not, and its name can be used', async (step, state) => {
    await crash('create', step, state)
    if ((await expectAllOrNothing()) === 'all') return
    expect(await machine.git('demo', 'branch', '--list', 'feature/one')).toBe('')
    expect((await machine.create({ projectId: 'demo', name: 'one' })).state).toBe('running')
  })
})

describe('F-04 kill -9 at each step of a creation from the pool', () => {
  afterAll(async () => {
    await machine.command((steps) => machine.projects.update({ projectId: 'demo', pool: 0 }, steps))
  })
  it.each([
    ['Record', 'done'],
    ['Worktree', 'running'],
    ['Home', 'done'],
    ['Workspace', 'done'],
    ['Container', 'done'],
    ['Isolation', 'done'],
  ])('%s %s: it is there or it is not, and nothing waits', async (step, state) => {
    await crash('pooled', step, state)
    const [containers, terminals] = await Promise.all([machine.runc.list(), machine.tmux.list()])
    const names = [...containers.map(({ id }) => id), ...terminals.map(({ name }) => name)]
    expect(names.filter((name) => name.includes('_pool-'))).toEqual([])
    if ((await expectAllOrNothing()) === 'all') {
      // What only waits is no session.
      expect((await machine.inside(ID, 'ls /project')).out).toBe(ID)
      return
    }
    expect(await machine.git('demo', 'branch', '--list', 'feature/one')).toBe('')
    expect((await machine.create({ projectId: 'demo', name: 'one' })).state).toBe('running')
  })
})

describe('F-05 kill -9 at each step of a removal', () => {
  it.each([...points(TERMINATE), ['Archive', 'amid'] as const])(
    '%s %s: the work is in its workspace or in the archive',
    async (step, state) => {
      await machine.create({ projectId: 'demo', name: 'one' })
      await machine.inside(
        ID,
        `echo precious > work.txt; head -c ${state === 'amid' ? 20_000_000 : 10} /dev/urandom > bytes`,
      )
      await crash('terminate', step, state)
      const names = await readdir(machine.home, { recursive: true })
      expect(names.filter((name) => name.includes('.making-'))).toEqual([])
      if ((await expectAllOrNothing()) === 'all') {
        expect((await machine.sessions.workAtRisk(ID)).untracked).toContain('work.txt')
        return
      }
      const [latest] = await machine.sessions.archives('demo')
      const { stdout } = await run('tar', ['-tf', join(archives(), latest?.id ?? '', 'layer.tar')])
      expect(stdout).toContain('upper/work.txt')
    },
  )
})

describe('F-04 kill -9 at steps of a fork or restoration', () => {
  beforeAll(async () => {
    await machine.create({ projectId: 'demo', name: 'source' })
    await machine.inside('demo_source', 'echo precious > work.txt')
    await machine.terminate('demo_source', true)
    await machine.command((steps) => machine.sessions.restore({ archiveId: 'demo_source' }, steps))
  })
  it.each(COPY)('%s %s %s: all of it or nothing, and its source as it was', async (command, step, state) => {
    await crash(command, step, state)
    expect((await machine.inside('demo_source', 'cat work.txt')).out).toBe('precious')
    expect((await machine.sessions.archives('demo')).map(({ sessionId }) => sessionId)).toContain('demo_source')
    if ((await expectAllOrNothing()) === 'nothing') {
      expect(await machine.git('demo', 'branch', '--list', 'feature/one')).toBe('')
      await machine.command((steps) => machine.sessions.fork({ sessionId: 'demo_source', name: 'one' }, steps))
    }
    expect((await machine.inside(ID, 'cat work.txt')).out).toBe('precious')
  })
  it('a session that was held still goes on', async () => {
    await machine.sessions[Symbol.asyncDispose]()
    machine.setFrozen('claude-demo_source', true)
    await machine.openSessions()
    await machine.sessions.adopt()
    expect((await machine.inside('demo_source', 'echo alive')).out).toBe('alive')
  })
  it.each([
    ['Archive demo_source', 'done'],
    ['Remove demo_one', 'done'],
  ])('clear %s %s: every session is there or in the archive', async (step, state) => {
    if (machine.sessions.get(ID) === undefined) await machine.create({ projectId: 'demo', name: 'one' })
    const before = (await machine.sessions.archives('demo')).length
    await crash('clear', step, state)
    const isThere = [ID, 'demo_source'].map((id) => machine.sessions.get(id) !== undefined)
    expect(isThere).toEqual(step.startsWith('Archive') ? [true, true] : [false, true])
    expect((await machine.sessions.archives('demo')).length).toBe(before + 2)
  })
})
