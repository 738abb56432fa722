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
  expect((await readdir(bundles)).filter((name) => name !== ID)).toEqual([])
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

describe('F-05 kill -9 at each step of a removal', () => {
  it.each(points(TERMINATE))('%s %s: the work is in its workspace or in the archive', async (step, state) => {
    await machine.create({ projectId: 'demo', name: 'one' })
    await machine.inside(ID, 'echo precious > work.txt')
    await crash('terminate', step, state)
    if ((await expectAllOrNothing()) === 'all') {
      expect((await machine.sessions.workAtRisk(ID)).untracked).toEqual(['work.txt'])
      return
    }
    const archives = (await readdir(join(machine.home, 'archives', ID))).toSorted()
    const { stdout } = await run('tar', ['-tf', join(machine.home, 'archives', ID, archives.at(-1) ?? '', 'layer.tar')])
    expect(stdout).toContain('upper/work.txt')
  })
})
