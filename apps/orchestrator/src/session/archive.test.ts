import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { mountPoints, unmount } from './mounts.ts'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine
let archives: string

beforeAll(async () => {
  machine = await TestMachine.start()
  archives = join(machine.home, 'archives')
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

/** A place for archives that takes no more than this. */
async function mountArchives(options: string): Promise<void> {
  await rm(archives, { recursive: true, force: true })
  await mkdir(archives, { recursive: true })
  await run('mount', ['-t', 'tmpfs', '-o', options, 'archives', archives])
}
const deleteProject = async () =>
  await machine.command((steps) =>
    machine.sessions.clear('demo', { force: true }, steps, async (kept) => ({
      kept,
      ...(await machine.projects.delete('demo', steps)),
    })),
  )

describe('D-02: where the archives are, there is no space', () => {
  it('so nothing is removed, and all of it once there is', async () => {
    await mountArchives('size=256k')
    for (const name of ['one', 'two']) {
      const { id } = await machine.create({ projectId: 'demo', name })
      await machine.inside(
        id,
        `echo ${name} > precious; head -c ${name === 'two' ? 2_000_000 : 1_000} /dev/urandom > bytes`,
      )
    }
    await expect(machine.terminate('demo_two', true)).rejects.toThrow(/nothing was removed.*ENOSPC/s)
    // The first fits, the second does not: neither goes.
    await expect(deleteProject()).rejects.toThrow(/nothing was removed/)
    expect(machine.projects.get('demo')).toBeDefined()
    for (const name of ['one', 'two'])
      expect((await machine.sessions.workAtRisk(`demo_${name}`)).untracked.toSorted()).toEqual(['bytes', 'precious'])
    expect((await readdir(archives)).filter((name) => name.startsWith('.'))).toEqual([])
    await unmount(archives)
  })
  it('for a project without sessions, so it stays where it is', async () => {
    const { kept } = await machine.sessions.clear(
      'demo',
      { force: true },
      { signal: new AbortController().signal, run: async (_name, action) => await action(), progress: () => undefined },
      async (kept) => ({ kept }),
    )
    expect(kept.map(({ sessionId }) => sessionId)).toEqual(['demo_one', 'demo_two'])
    await mountArchives('size=16k')
    await expect(deleteProject()).rejects.toThrow()
    expect((await stat(join(machine.projects.paths('demo').repo, '.git/HEAD'))).isFile()).toBe(true)
    expect((await readdir(join(archives, 'projects'))).filter((name) => name !== '')).toEqual([])
    await unmount(archives)
    expect(mountPoints()).not.toContain(archives)
  })
  it('nor may anything be written there, so nothing is removed', async () => {
    const { id } = await machine.create({ projectId: 'demo', name: 'three' })
    await machine.inside(id, 'echo precious > p')
    await mountArchives('ro')
    await expect(machine.terminate(id, true)).rejects.toThrow(/nothing was removed/)
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['p'])
    await unmount(archives)
    await chmod(archives, 0o700)
    expect((await machine.terminate(id, true)).archive?.sessionId).toBe(id)
  })
})

describe('the deletion of a project', () => {
  it('with sessions names each with what would be lost, and goes on with force; nothing is made meanwhile', async () => {
    const { id } = await machine.create({ projectId: 'demo', name: 'busy' })
    await machine.create({ projectId: 'demo', name: 'idle' })
    await machine.inside(id, 'echo precious > p')
    const clear = machine.command((steps) =>
      machine.sessions.clear('demo', { force: false }, steps, async () => 'gone'),
    )
    await expect(clear).rejects.toMatchObject({
      code: 'WORK_AT_RISK',
      message: expect.stringMatching(/demo_busy \(running\): 1 untracked file \(p\).*demo_idle \(running\): nothing/),
      details: { sessions: [{ id, atRisk: { untracked: ['p'] } }, { id: 'demo_idle' }] },
    })
    expect((await machine.inside(id, 'echo alive')).out).toBe('alive')
    const deleting = deleteProject()
    await expect(machine.create({ projectId: 'demo', name: 'late' })).rejects.toMatchObject({ code: 'CONFLICT' })
    const { kept, archive } = await deleting
    expect(kept.map(({ sessionId }) => sessionId)).toEqual(['demo_busy', 'demo_idle'])
    expect((await stat(join(archive, '.repo/.git/HEAD'))).isFile()).toBe(true)
    expect(machine.projects.get('demo')).toBeUndefined()
    for (const name of ['busy', 'idle']) expect(await machine.leftovers(`demo_${name}`)).toEqual([])
  })
})
