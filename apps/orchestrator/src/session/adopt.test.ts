import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StepList } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { unmount } from './mounts.ts'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { readRecord, type SessionRecord, writeRecord } from './record.ts'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine
let count = 0
let id = ''

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())
beforeEach(async () => {
  id = (await machine.create({ projectId: 'demo', name: `s${count++}` })).id
})

const recordPath = () => join(machine.projects.paths('demo').bundles, id, 'session.json')

/** What a new orchestrator finds after the old one is gone; `meanwhile` is what happened in between. */
async function restart(meanwhile: () => Promise<unknown> = async () => undefined): Promise<void> {
  await machine.sessions[Symbol.asyncDispose]()
  await meanwhile()
  await machine.openSessions()
  await machine.sessions.adopt()
}

async function changeRecord(change: (record: SessionRecord) => SessionRecord): Promise<void> {
  await writeRecord(recordPath(), change(await readRecord(recordPath())))
}

async function kill(target: string): Promise<void> {
  await machine.runc.delete(containerIdOf(target))
  await sleep(100)
}

describe('after a restart (V)', () => {
  it('a live session is taken over: same process, watched again', async () => {
    const pid = await machine.pidOf(id)
    await restart()
    expect(machine.sessions.require(id).state).toBe('running')
    expect(await machine.pidOf(id)).toBe(pid)
    await machine.inside(id, 'git commit -q --allow-empty -m later')
    const deadline = performance.now() + 4_000
    while ((await machine.git('demo', 'log', '-1', '--format=%s', `feature/${id.slice(5)}`)) !== 'later') {
      if (performance.now() > deadline) throw new Error('the commit did not come home')
      await sleep(50)
    }
  })
  it('its door is attached again', async () => {
    await restart(async () => {
      await changeRecord((record) => ({ ...record, gateway: 'anthropic' }))
      machine.attached.clear()
    })
    expect(machine.attached.get(id)).toBe(await machine.pidOf(id))
  })
  it('a session whose container died is stopped, its workspace kept', async () => {
    await machine.inside(id, 'echo work > w')
    await restart(async () => await kill(id))
    expect(machine.sessions.require(id)).toMatchObject({
      state: expect.stringMatching(/stopped|failed/),
      exit: { reason: 'killed' },
    })
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
  })
  it('a session whose terminal is gone is ended and says so', async () => {
    await restart(async () => {
      await machine.tmux.kill(containerIdOf(id))
      await sleep(100)
    })
    expect(machine.sessions.require(id).exit?.reason).toBe('tmux_gone')
    expect(await machine.leftovers(id)).toEqual([expect.stringContaining(id)])
  })
  it('a session of an earlier boot is stopped by the reboot, and its workspace can still be read', async () => {
    await machine.inside(id, 'echo work > w')
    await restart(async () => {
      await kill(id)
      await machine.tmux.kill(containerIdOf(id))
      await unmount(join(machine.projects.paths('demo').dir, id))
      await changeRecord((record) => ({ ...record, bootId: 'another' }))
    })
    expect(machine.sessions.require(id)).toMatchObject({ state: 'stopped', exit: { reason: 'reboot' } })
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
  })
  it('a creation that was cut off before anything ran is undone', async () => {
    await restart(async () => {
      await kill(id)
      await machine.tmux.kill(containerIdOf(id))
      await changeRecord(({ process: _, ...record }) => ({
        ...record,
        phase: 'preparing',
        session: { ...record.session, state: 'starting' },
      }))
    })
    expect(machine.sessions.get(id)).toBeUndefined()
    expect(await machine.leftovers(id)).toEqual([])
    expect(await machine.git('demo', 'branch', '--list', `feature/${id.slice(5)}`)).toBe('')
    await expect(stat(join(machine.projects.paths('demo').bundles, id))).rejects.toMatchObject({ code: 'ENOENT' })
  })
  it('a creation that was cut off after the start is taken over', async () => {
    await restart(async () => {
      await changeRecord(({ process: _, ...record }) => ({
        ...record,
        session: { ...record.session, state: 'starting' },
      }))
    })
    expect(machine.sessions.require(id).state).toBe('running')
    expect((await machine.inside(id, 'echo alive')).out).toBe('alive')
  })
  it('a creation that was cut off and died is a failed session with its workspace', async () => {
    await machine.inside(id, 'echo work > w')
    await restart(async () => {
      await kill(id)
      await changeRecord(({ process: _, ...record }) => ({
        ...record,
        session: { ...record.session, state: 'starting' },
      }))
    })
    expect(machine.sessions.require(id).state).toBe('failed')
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
  })
  it('a restart that was cut off before anything ran again is a failed session with its workspace (D-3)', async () => {
    await machine.inside(id, 'echo work > w')
    await restart(async () => {
      await kill(id)
      await machine.tmux.kill(containerIdOf(id))
      await changeRecord(({ process: _, ...record }) => ({
        ...record,
        session: { ...record.session, state: 'starting' },
      }))
    })
    expect(machine.sessions.require(id).state).toBe('failed')
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
  })
  it('a session that was frozen or thawed behind our back is as its record says', async () => {
    const group = `/aio-${shortHash(machine.run)}-${containerIdOf(id)}`
    await restart(async () => openCgroups().setFrozen(group, true))
    expect(machine.sessions.require(id).state).toBe('running')
    expect((await machine.inside(id, 'echo alive')).out).toBe('alive')
    await machine.sessions.pause(id)
    await restart(async () => openCgroups().setFrozen(group, false))
    expect(machine.sessions.require(id).state).toBe('paused')
    expect(openCgroups().isFrozen(group)).toBe(true)
  })
  it('a record that was cut short is never read, and nothing of the session is touched (D-5)', async () => {
    const whole = await readFile(recordPath(), 'utf8')
    await restart(async () => await writeFile(recordPath(), whole.slice(0, 100)))
    expect(machine.sessions.get(id)).toBeUndefined()
    expect((await machine.runc.list()).some((container) => container.id === containerIdOf(id))).toBe(true)
    await expect(machine.create({ projectId: 'demo', name: id.slice(5) })).rejects.toThrow()
    expect(machine.problems).toEqual([])
    await restart(async () => await writeFile(recordPath(), whole))
    expect(machine.sessions.require(id).state).toBe('running')
  })
  it('a removal that was cut off while it cleared away is finished, and stray helpers are ended', async () => {
    const { bundles, dir } = machine.projects.paths('demo')
    await restart(async () => {
      await kill(id)
      await unmount(join(dir, id))
      await run('mv', [join(bundles, id), join(bundles, `.removed-${id}-1`)])
      await mkdir(join(bundles, 'demo_unborn'))
    })
    expect(await machine.git('demo', 'worktree', 'list')).not.toContain(id)
    for (const name of [`.removed-${id}-1`, 'demo_unborn'])
      await expect(stat(join(bundles, name))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('while the orchestrator runs', () => {
  it('the death of the runtime ends the session, because it cannot be steered any more', async () => {
    const { out } = {
      out: (await run('pgrep', ['-f', `runc --root ${join(machine.run, 'runc')} run .*${containerIdOf(id)}$`])).stdout,
    }
    process.kill(Number(out.trim().split('\n')[0]), 'SIGKILL')
    const deadline = performance.now() + 8_000
    while (machine.sessions.require(id).state === 'running' && performance.now() < deadline) await sleep(50)
    expect(machine.sessions.require(id).exit?.reason).toMatch(/tmux_gone|killed/)
    expect((await machine.runc.list()).some((container) => container.id === containerIdOf(id))).toBe(false)
  })
  it('cancelling a creation undoes it', async () => {
    const abort = new AbortController()
    const steps = new StepList(abort.signal, ({ step }) => {
      if (step?.name === 'Container' && step.state === 'running') abort.abort()
    })
    await expect(machine.sessions.create({ projectId: 'demo', name: 'cancelled' }, steps)).rejects.toThrow()
    expect(await steps.undo()).toEqual([])
    expect(await machine.leftovers('demo_cancelled')).toEqual([])
    expect(machine.sessions.get('demo_cancelled')).toBeUndefined()
  })
})
