import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { containerIdOf } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StepList } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { mountPoints, unmount } from './mounts.ts'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { TestMachine } from './test-machine.ts'

/** `AIO_TEST_SESSIONS=50 AIO_TEST_CYCLES=100` is the full measure of the promise; less is run each time. */
const SESSIONS = Number(process.env['AIO_TEST_SESSIONS'] ?? 8)
const CYCLES = Number(process.env['AIO_TEST_CYCLES'] ?? 8)
/** The promise for 50 sessions (V); here it is held with fewer, on a machine that does other things as well. */
const ADOPT_MS = 10_000

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 60_000)
afterAll(async () => await machine[Symbol.asyncDispose](), 120_000)

/** Everything of this machine that a session could leave something in. */
async function traces(): Promise<Record<string, string[]>> {
  const { dir, bundles, bases } = machine.projects.paths('demo')
  const prefix = `aio-${shortHash(machine.run)}-`
  const terminals = await machine.tmux.list()
  const descriptors = await Promise.all(
    (await readdir('/proc/self/fd')).map(async (fd) => await readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  )
  const files = await run('find', [machine.run, join(dir, '.repo/.git/worktrees'), bundles, '-maxdepth', '3'], {
    allowFailure: true,
  })
  return {
    mounts: mountPoints().filter((path) => path.startsWith(machine.dir)),
    groups: openCgroups().list(prefix),
    containers: (await machine.runc.list()).map(({ id }) => id),
    terminals: terminals.map(({ name }) => name),
    files: files.stdout.split('\n').toSorted(),
    worktrees: (await machine.git('demo', 'worktree', 'list')).split('\n'),
    entries: [...(await readdir(dir)), ...(await readdir(bases))].toSorted(),
    descriptors: descriptors.filter((path) => path.startsWith(machine.dir)),
    processes: (await run('pgrep', ['-f', machine.dir], { allowFailure: true })).stdout.split('\n'),
  }
}

const ids = () => machine.sessions.list().map(({ id }) => id)

describe('creating and removing sessions', () => {
  it(`${CYCLES} times leaves nothing behind`, async () => {
    const cycle = async (name: string) => {
      const { id } = await machine.create({ projectId: 'demo', name })
      await machine.inside(id, 'git commit -q --allow-empty -m c; sleep 100 >/dev/null 2>&1 & echo')
      if (name.endsWith('0')) await machine.sessions.pause(id)
      if (name.endsWith('1'))
        await machine.sessions.restart(id, {}, new StepList(new AbortController().signal, () => undefined))
      await machine.terminate(id, true)
    }
    // What is made once for all stays: base, tmux server, root filesystem.
    await cycle('first')
    const before = await traces()
    for (let index = 0; index < CYCLES; index += 1) await cycle(`c${index}`)
    expect(await traces()).toEqual(before)
    expect(before['mounts']).toEqual([])
    expect(before['groups']).toEqual([])
  }, 300_000)
})

describe(`${SESSIONS} sessions`, () => {
  it('are taken over with the same processes by the next orchestrator (F-22)', async () => {
    for (let index = 0; index < SESSIONS; index += 1) await machine.create({ projectId: 'demo', name: `m${index}` })
    const pids = new Map((await machine.runc.list()).map(({ id, pid }) => [id, pid]))
    expect(pids.size).toBe(SESSIONS)
    await machine.sessions.pause('demo_m0')
    const startedAt = performance.now()
    await machine.reopen()
    expect(performance.now() - startedAt).toBeLessThan(ADOPT_MS)
    expect(machine.sessions.list().map(({ state }) => state)).toEqual([
      'paused',
      ...Array.from({ length: SESSIONS - 1 }, () => 'running'),
    ])
    for (const { id, pid } of await machine.runc.list()) expect(pids.get(id)).toBe(pid)
  }, 300_000)

  it('are stopped after a reboot, lose nothing, and start again (F-20)', async () => {
    for (const id of ids().slice(1)) await machine.inside(id, 'echo work > w')
    await machine.sessions[Symbol.asyncDispose]()
    // What a reboot does: all processes, mounts and AIO_RUN are gone, and the kernel has another boot id.
    for (const { id } of await machine.runc.list()) await machine.runc.delete(id)
    for (const id of ids()) await machine.tmux.kill(containerIdOf(id))
    const { bundles, dir } = machine.projects.paths('demo')
    for (const id of ids()) {
      await unmount(join(dir, id))
      const path = join(bundles, id, 'session.json')
      const record: unknown = JSON.parse(await readFile(path, 'utf8'))
      await writeFile(path, JSON.stringify({ ...(record as object), bootId: 'of the boot before' }))
    }
    const group = `/sys/fs/cgroup/memory/aio-${shortHash(machine.run)}-claude-demo_stray`
    if (openCgroups().version === 1) await run('mkdir', [group])
    await machine.openSessions()
    await machine.sessions.adopt()
    for (const session of machine.sessions.list())
      expect(session).toMatchObject({ state: 'stopped', exit: { reason: 'reboot' } })
    expect(openCgroups().list(`aio-${shortHash(machine.run)}-`)).toEqual([])
    const [, one = ''] = ids()
    await machine.sessions.restart(one, {}, new StepList(new AbortController().signal, () => undefined))
    expect((await machine.inside(one, 'cat w')).out).toBe('work')
    for (const id of ids()) await machine.terminate(id, true)
  }, 300_000)
})
