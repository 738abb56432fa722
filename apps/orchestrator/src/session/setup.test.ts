import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StepList, type StepReport } from '../command/steps.ts'
import { mountPoints } from './mounts.ts'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine
let runs = 0

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('shop', { 'a.txt': 'one\n', '.gitignore': 'made\n', 'build.sh': 'echo built > made/out\n' })
})
afterAll(async () => await machine[Symbol.asyncDispose]())

const steps = (signal = new AbortController().signal, report: (report: StepReport) => void = () => undefined) =>
  new StepList(signal, report)
const set = async (change: { setup?: string[]; setupOptional?: boolean; env?: Record<string, string | null> }) =>
  await machine.projects.update({ projectId: 'shop', ...change }, steps())
const create = async (report?: (report: StepReport) => void) => {
  runs += 1
  return await machine.create({ projectId: 'shop', name: `s${runs}` }, report)
}
const layers = async () =>
  (await readdir(machine.projects.paths('shop').bases)).filter((name) => name.includes('setup') || name.startsWith('.'))

describe('the setup of a project', () => {
  it('runs once, without network, and every session starts with what it left', async () => {
    await set({
      setup: [
        'mkdir made && sh build.sh && date +%s%N > made/when',
        'echo "$FLAVOUR" > made/flavour',
        'ls /sys/class/net > made/net',
      ],
      env: { FLAVOUR: 'plain' },
    })
    const said: string[] = []
    const first = await create(({ message }) => said.push(message ?? ''))
    expect(said).toContain('Setup: + mkdir made && sh build.sh && date +%s%N > made/when')
    const second = await create()
    const look = 'cat made/out made/flavour made/net made/when; git status --porcelain'
    const [a, b] = [await machine.inside(first.id, look), await machine.inside(second.id, look)]
    expect(a.out).toMatch(/^built\nplain\nlo\n\d+$/)
    expect(b).toEqual(a)
    expect(await layers()).toHaveLength(1)
  })

  it('is no work of a session, and what a session changes of it is', async () => {
    const session = await create()
    expect(await machine.sessions.workAtRisk(session.id)).toMatchObject({ ignored: [], untracked: [], modified: [] })
    await machine.inside(session.id, 'echo mine >> made/out')
    expect(await machine.sessions.workAtRisk(session.id)).toMatchObject({ ignored: ['made/'] })
    await expect(machine.terminate(session.id)).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
    const other = await create()
    expect((await machine.inside(other.id, 'cat made/out')).out).toBe('built')
    await machine.terminate(other.id)
  })

  it('runs again when its text or the environment changes, and a restart finds the layers of each session', async () => {
    await set({ env: { FLAVOUR: 'sweet' } })
    const session = await create()
    expect((await machine.inside(session.id, 'cat made/flavour')).out).toBe('sweet')
    expect((await machine.inside('shop_s1', 'cat made/flavour')).out).toBe('plain')
    expect(await layers()).toHaveLength(2)
    await machine.sessions[Symbol.asyncDispose]()
    await (await machine.openSessions()).adopt()
    expect((await machine.inside('shop_s1', 'cat made/flavour')).out).toBe('plain')
  })

  it('that fails refuses the session with its last lines, and leaves nothing of either', async () => {
    await set({ setup: ['echo fetching left-pad', 'echo no such host >&2; exit 7', 'echo never'] })
    const before = (await layers()).length
    const failure: unknown = await create().catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'EXEC_ERROR',
      message: expect.stringMatching(/status 7[\s\S]*fetching left-pad[\s\S]*no such host[\s\S]*--setup-optional/),
    })
    expect(failure).not.toMatchObject({ message: expect.stringContaining('never') })
    expect(machine.sessions.get(`shop_s${runs}`)).toBeUndefined()
    expect(machine.problems).toEqual([])
    expect(await layers()).toHaveLength(before)
    expect(mountPoints().filter((path) => path.endsWith('/merged'))).toEqual([])
  })

  it('that may fail lets the session start without it, with a notice', async () => {
    await set({ setupOptional: true })
    const session = await create()
    expect(session).toMatchObject({ state: 'running', notice: expect.stringContaining('no such host') })
    expect((await machine.inside(session.id, 'ls made')).exitCode).not.toBe(0)
  })

  it('ends when the creation is cancelled', async () => {
    await set({ setup: ['sleep 1000'], setupOptional: false })
    const cancel = new AbortController()
    const list = steps(cancel.signal, ({ message }) => {
      if (message === 'Setup: + sleep 1000') cancel.abort(new Error('not wanted'))
    })
    await expect(machine.sessions.create({ projectId: 'shop', name: 'never' }, list)).rejects.toThrow('not wanted')
    expect(await list.undo()).toEqual([])
    expect((await layers()).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('is made in the background, and what no session lies on is removed but for the newest', async () => {
    await set({ setup: ['mkdir made'], setupOptional: false })
    for (const flavour of ['a', 'b', 'c', 'd', 'e']) {
      await set({ env: { FLAVOUR: flavour } })
      await machine.sessions.warm('shop')
    }
    // Those of two sessions, the one that is warm, and the three newest others.
    expect(await layers()).toHaveLength(6)
    expect((await machine.inside('shop_s1', 'cat made/flavour')).out).toBe('plain')
  })
})
