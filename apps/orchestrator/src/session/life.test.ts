import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type Session, type SessionStats } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StepList } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { TestMachine } from './test-machine.ts'

const PERL = '/usr/bin/perl'
/** Says how many processes could not be started, then fails like a program that needs them. */
const FORKS = 'for (1 .. 200) { $p = fork; if (!defined $p) { sleep 1; exit 9 } if (!$p) { sleep 8; exit } }'
/** Aside, since what waits for it would be frozen with it. */
const FILL = 'head -c 50000000 /dev/urandom > big 2>/dev/null < /dev/null &'

let machine: TestMachine
let count = 0

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

/** Looks every 25 ms until it holds; the limit is generous, for a machine that does other things as well. */
async function until(holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`It did not come true within ${withinMs} ms.`)
    await sleep(25)
  }
}

async function create(argv?: readonly string[], limits?: Partial<Session['limits']>): Promise<Session> {
  const { launch } = machine
  if (argv !== undefined) machine.launch = { argv, env: {} }
  try {
    const name = `s${count++}`
    return await machine.create({ projectId: 'demo', name, ...(limits === undefined ? {} : { limits }) })
  } finally {
    machine.launch = launch
  }
}

const steps = () => new StepList(new AbortController().signal, () => undefined)
const session = (id: string) => machine.sessions.require(id)
const groupOf = (id: string) => `/aio-${shortHash(machine.run)}-${containerIdOf(id)}`

describe('a paused session', () => {
  it('stands still, answers about its work, takes no exec, and goes on where it was', async () => {
    const { id } = await create(['/bin/bash', '-c', 'i=0; while sleep 0.02; do echo $((i++)) > /project/tick; done'])
    await machine.inside(id, 'echo work > w; git commit -q --allow-empty -m inside')
    const pid = await machine.pidOf(id)
    expect(await machine.sessions.pause(id)).toMatchObject({ state: 'paused', pause: { reason: 'asked' } })
    const cpu = () => openCgroups().usageOf(groupOf(id)).cpuUs
    const before = cpu()
    await sleep(200)
    expect(cpu()).toBe(before)
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
    await machine.sessions.bringHome(id)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', `feature/${session(id).name}`)).toBe('inside')
    expect(() => machine.sessions.execArgv(id, ['ls'])).toThrow(/paused.*resume/)
    expect(await machine.sessions.pause(id)).toMatchObject({ state: 'paused' })
    const resumed = await machine.sessions.resume(id)
    expect(resumed.state).toBe('running')
    expect(resumed.pause).toBeUndefined()
    expect(await machine.pidOf(id)).toBe(pid)
    await until(() => cpu() > before)
    await machine.terminate(id, true)
    expect(await machine.leftovers(id)).toEqual([])
  })
  it('stays paused over a restart of the orchestrator, and can be removed as it is', async () => {
    const { id } = await create()
    await machine.sessions.pause(id)
    await machine.reopen()
    expect(session(id).state).toBe('paused')
    expect(openCgroups().isFrozen(groupOf(id))).toBe(true)
    await machine.terminate(id)
    expect(await machine.leftovers(id)).toEqual([])
  })
  it('that is killed is stopped, not paused', async () => {
    const { id } = await create()
    await machine.sessions.pause(id)
    await machine.runc.delete(containerIdOf(id))
    await until(() => session(id).state === 'stopped' || session(id).state === 'failed')
    expect(session(id).pause).toBeUndefined()
    await expect(machine.sessions.resume(id)).rejects.toMatchObject({ code: 'NOT_RUNNING' })
    await machine.terminate(id)
  })
})

describe('a restarted session', () => {
  it('has a new process in the same workspace and home, and the permission it had', async () => {
    const { id } = await create()
    await machine.inside(id, 'echo work > w; echo mine > ~/h; echo hello; touch /tmp/gone')
    const pid = await machine.pidOf(id)
    machine.permissions.length = 0
    const restarted = await machine.sessions.restart(id, {}, steps())
    expect(restarted).toMatchObject({ state: 'running', isolation: 'full' })
    expect(await machine.pidOf(id)).not.toBe(pid)
    expect((await machine.inside(id, 'cat w ~/h; ls /tmp')).out).toBe('work\nmine')
    expect(machine.permissions).toEqual(['allow'])
    await machine.terminate(id, true)
  })
  it('never gets a looser permission than it had', async () => {
    await machine.reopen('degraded')
    const { id } = await create()
    await machine.reopen('full')
    machine.permissions.length = 0
    await machine.sessions.restart(id, {}, steps())
    expect(machine.permissions).toEqual(['ask'])
    await machine.terminate(id)
  })
  it('works after its process has ended, and while it is paused', async () => {
    const { id } = await create(['/bin/sh', '-c', 'echo work > w; exit 4'])
    await until(() => session(id).state === 'failed')
    expect(session(id).exit).toMatchObject({ reason: 'exited', code: 4 })
    const restarted = await machine.sessions.restart(id, {}, steps())
    expect(restarted.state).toBe('running')
    expect(restarted.exit).toBeUndefined()
    await machine.sessions.pause(id)
    expect(await machine.sessions.restart(id, {}, steps())).toMatchObject({ state: 'running' })
    expect((await machine.inside(id, 'cat w')).out).toBe('work')
    await machine.terminate(id, true)
  })
  it('that cannot be started is failed and keeps its work, and works once that is mended', async () => {
    const { id } = await create()
    await machine.inside(id, 'echo work > w')
    machine.failAttach = true
    machine.launch = { ...machine.launch, gateway: 'anthropic' }
    await expect(machine.sessions.restart(id, {}, steps())).rejects.toThrow('no door')
    machine.failAttach = false
    machine.launch = { argv: machine.launch.argv, env: {} }
    expect(session(id)).toMatchObject({ state: 'failed', exit: { lastLines: ['no door'] } })
    await machine.reopen()
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['w'])
    await machine.sessions.restart(id, {}, steps())
    expect((await machine.inside(id, 'cat w')).out).toBe('work')
    await machine.terminate(id, true)
  })
})

describe('limits', () => {
  it('are those of the request, then of the project, then ours, and are in force', async () => {
    const { id, limits } = await create(undefined, { memoryMb: 300, pids: 77 })
    expect(limits).toEqual({ memoryMb: 300, pids: 77, cpus: 1.5, diskMb: 10_240 })
    expect(openCgroups().limitsOf(groupOf(id))).toEqual({ memoryBytes: 300 * 1024 ** 2, pids: 77, cpus: 1.5 })
    await machine.terminate(id)
  })
  it('change while it runs, up and down, and hold after a restart', async () => {
    const { id } = await create()
    for (const memoryMb of [4_096, 512]) {
      const changed = await machine.sessions.setLimits(id, { memoryMb, cpus: 0.5 })
      expect(changed.limits).toEqual({ memoryMb, cpus: 0.5, pids: 512, diskMb: 10_240 })
      expect(openCgroups().limitsOf(groupOf(id))).toEqual({ memoryBytes: memoryMb * 1024 ** 2, pids: 512, cpus: 0.5 })
    }
    await machine.sessions.restart(id, {}, steps())
    expect(openCgroups().limitsOf(groupOf(id)).memoryBytes).toBe(512 * 1024 ** 2)
    await machine.terminate(id)
  })
  it('of memory below what is in use are refused, and nothing is killed', async () => {
    const { id } = await create([PERL, '-e', '$x = "a" x 200_000_000; print "full\\n"; sleep 100'])
    await until(() => openCgroups().usageOf(groupOf(id)).memoryBytes > 190_000_000)
    await expect(machine.sessions.setLimits(id, { memoryMb: 100 })).rejects.toMatchObject({ code: 'LIMIT' })
    expect(session(id)).toMatchObject({ state: 'running', limits: { memoryMb: 2_048 } })
    await machine.terminate(id)
  })
})

describe('what a session runs into is told as what it was', () => {
  it('too many processes, as the reason of its end (F-21)', async () => {
    const { id } = await create([PERL, '-e', FORKS], { pids: 32 })
    await until(() => session(id).exit !== undefined)
    expect(session(id).exit).toMatchObject({ reason: 'pids_limit', code: 9 })
    await machine.terminate(id)
  })
  it('too many processes and too little memory, while it goes on', async () => {
    const { id } = await create(undefined, { pids: 32, memoryMb: 64 })
    await machine.inside(id, `perl -e '$x = "a" x 200_000_000'; perl -e '${FORKS}'`)
    await until(() => session(id).reached?.length === 2)
    expect(
      session(id)
        .reached?.map(({ limit }) => limit)
        .toSorted(),
    ).toEqual(['memory', 'pids'])
    expect(session(id).state).toBe('running')
    await machine.terminate(id)
  })
  it('a full disk, by a pause that loses nothing; more disk lets it go on', async () => {
    const { id } = await create(undefined, { diskMb: 32 })
    await machine.inside(id, FILL)
    await until(() => session(id).state === 'paused')
    expect(session(id)).toMatchObject({ pause: { reason: 'disk' }, notice: expect.stringMatching(/--disk/) })
    await until(() => session(id).reached?.[0]?.limit === 'disk')
    const wider = await machine.sessions.setLimits(id, { diskMb: 512 })
    expect(wider).toMatchObject({ state: 'running' })
    expect(wider.notice).toBeUndefined()
    await until(async () => (await machine.inside(id, 'wc -c < big')).out === '50000000')
    await machine.terminate(id, true)
  })
  it('a full disk, by the reason when it is ended', async () => {
    const { id } = await create(undefined, { diskMb: 16 })
    await machine.inside(id, FILL)
    await until(() => session(id).state === 'paused')
    const pid = await machine.pidOf(id)
    if (pid === undefined) throw new Error('it has ended already')
    process.kill(pid, 'SIGKILL')
    openCgroups().setFrozen(groupOf(id), false)
    await until(() => session(id).exit !== undefined)
    expect(session(id).exit?.reason).toBe('disk_limit')
    await machine.terminate(id, true)
  })
  it('a terminal that is gone', async () => {
    const { id } = await create()
    await machine.tmux.kill(containerIdOf(id))
    await until(() => session(id).exit !== undefined)
    expect(session(id).exit?.reason).toBe('tmux_gone')
    await machine.terminate(id)
  })
})

describe('an idle session', () => {
  it('is paused where that was asked for, and one that works is not', async () => {
    await machine.reopen('full', 3_000)
    const idle = await create(['/bin/sleep', '1000'])
    const busy = await create([PERL, '-e', '$| = 1; while (1) { print "."; select undef, undef, undef, 0.2 }'])
    await until(() => session(idle.id).state === 'paused')
    expect(session(idle.id).pause?.reason).toBe('idle')
    expect(session(busy.id).state).toBe('running')
    await machine.reopen()
    for (const { id } of [idle, busy]) await machine.terminate(id)
  })
})

describe('statistics', () => {
  it('come while somebody watches and pays, and end with the session', async () => {
    const { id } = await create([PERL, '-e', '1 while 1'], { cpus: 0.5 })
    const items: SessionStats[] = []
    const ended = Promise.withResolvers<unknown>()
    const stream = machine.sessions.openStats({
      sessionId: id,
      send: ({ stats }) => items.push(stats),
      onEnd: ended.resolve,
    })
    await sleep(1_000)
    expect(items).toEqual([])
    stream.credit(10_000)
    await until(() => items.length > 0)
    expect(items[0]).toMatchObject({ sessionId: id, pids: 2 })
    expect(items[0]?.cpuPercent).toBeGreaterThan(5)
    expect(items[0]?.cpuPercent).toBeLessThan(100)
    expect(items[0]?.memoryBytes).toBeGreaterThan(100_000)
    await machine.terminate(id)
    await expect(ended.promise).resolves.toMatchObject({ code: expect.stringMatching(/NOT_FOUND|NOT_RUNNING/) })
  })
})

describe('every session', () => {
  it('has a range of user ids of its own, and its files belong to the common one on disk', async () => {
    const [one, two] = [await create(), await create()]
    const mapOf = async ({ id }: Session) => (await machine.inside(id, 'cat /proc/self/uid_map; stat -c %u:%U . ~')).out
    const [first = '', second = ''] = [await mapOf(one), await mapOf(two)]
    expect(first.split('\n')[0]).not.toBe(second.split('\n')[0])
    for (const text of [first, second]) expect(text.split('\n').slice(1)).toEqual(['1000:agent', '1000:agent'])
    await machine.inside(one.id, 'touch made')
    const { bundles } = machine.projects.paths('demo')
    const { stdout } = await run('stat', [
      '-c',
      '%u',
      `${bundles}/${one.id}/upper/made`,
      `${bundles}/${one.id}/home/.profile`,
    ])
    expect(stdout.trim().split('\n')).toEqual(['1895826408', '1895826408'])
    for (const { id } of [one, two]) await machine.terminate(id, true)
  })
})
