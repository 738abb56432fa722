import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Execs } from '../exec/execs.ts'
import { createLogger } from '../log.ts'
import { run } from '../process/run.ts'
import { startTimeOf } from '../session/host-process.ts'
import { TestMachine } from '../session/test-machine.ts'

let machine: TestMachine
beforeAll(async () => {
  machine = await TestMachine.start(undefined, 'bubblewrap')
  await machine.project('demo')
}, 60_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const id = 'demo_bw'
const name = 'claude-demo_bw'
const inside = async (script: string) => (await machine.inside(id, script)).out
const pid = () => machine.attached.get(id) ?? 0
async function eventually(check: () => Promise<void>, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(50)
    }
  }
}

describe('a session in bubblewrap', { timeout: 60_000 }, () => {
  it('starts, and says what it lacks', async () => {
    const session = await machine.create({ projectId: 'demo', name: 'bw' })
    expect(session).toMatchObject({ state: 'running', isolation: 'degraded' })
    expect(session.lacks).toEqual(['its memory is not limited', 'its use of the processor is not limited'])
    expect(machine.sessions.warnings).toEqual([expect.stringMatching(/bubblewrap.*not limited/)])
    expect(await machine.runc.list()).toEqual([])
  })

  it('runs programs inside, as its user, in its namespaces, with its filter and without privileges', async () => {
    const status = await inside('id -u; id -g; pwd; hostname; grep -E "Cap|Seccomp:|NoNewPrivs" /proc/self/status')
    expect(status.split('\n').slice(0, 4)).toEqual(['1000', '1000', '/project/demo_bw', 'bw'])
    expect(status).toMatch(/NoNewPrivs:\t1\n.*Seccomp:\t2/s)
    for (const [, set] of status.matchAll(/Cap\w+:\t(\w+)/g)) expect(set).toBe('0'.repeat(16))
    for (const kind of ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']) {
      const [own, session, exec] = [
        await run('readlink', [`/proc/self/ns/${kind}`]),
        await run('readlink', [`/proc/${pid()}/ns/${kind}`]),
        { stdout: `${await inside(`readlink /proc/self/ns/${kind}`)}\n` },
      ]
      expect(session.stdout, kind).not.toBe(own.stdout)
      expect(exec.stdout, kind).toBe(session.stdout)
    }
    expect(await inside('echo $HOME $TERM; env | grep -c AIO_')).toBe('/home/agent xterm-256color\n0')
    expect(await inside('ls /proc/self/fd | tr "\\n" " "')).toBe('0 1 2 3')
    expect(await machine.inside(id, 'exit 7')).toMatchObject({ exitCode: 7 })
    expect(await machine.inside(id, 'kill -9 $$')).toMatchObject({ exitCode: 137 })
  })

  it('sees nothing of this machine and can write nowhere but at home, in its workspace and in /tmp', async () => {
    expect(await inside('unshare --user true; echo $?')).toMatch(/Operation not permitted|Function not implemented/)
    expect(
      await inside('ls /stage /root 2>&1; cat /proc/kcore 2>&1 | head -c 10; ls /sys/firmware /proc/acpi'),
    ).not.toMatch(/\/stage:\n|ELF/)
    const tried =
      '/a /usr/a /etc/a /dev/a /sys/a /project/a /project/.objects/a /opt/agents/a /proc/sys/kernel/hostname'
    expect(await inside(`for f in ${tried}; do (echo x >$f) 2>/dev/null && echo $f; done; true`)).toBe('')
    expect(await inside('for f in /tmp/a ~/a a; do echo x >$f || echo $f; done; rm a')).toBe('')
    expect(await inside('ps -e --no-headers | wc -l')).toMatch(/^[3-6]$/)
  })

  it('holds the number of processes, which the kernel counts per user', async () => {
    const script = 'my $n = 0; while ($n++ < 600 && defined(my $p = fork)) { if (!$p) { sleep 5; exit } } print "$n $!"'
    expect(await inside(`perl -e '${script}' 2>&1`)).toMatch(/^[345]\d\d Resource temporarily unavailable$/)
  })

  it('has the terminal of its pane, with job control, on which it cannot type', async () => {
    await machine.tmux.input(name, 'sleep 1000\n')
    await eventually(async () => expect(await inside('pgrep -c sleep')).toBe('1'))
    await machine.tmux.input(name, '\x03')
    await eventually(async () => expect(await inside('pgrep -c sleep; true')).toBe('0'))
    await machine.tmux.input(name, `perl -e 'ioctl(STDIN, 0x5412, my $c = "x") or print "no: $!\\n"'\n`)
    await eventually(async () => expect(await machine.tmux.capture(name)).toMatch(/no: Operation not permitted/))
  })

  it('brings a commit home', async () => {
    await inside('echo two >a.txt && git commit -qam second')
    const commit = await inside('git rev-parse HEAD')
    await eventually(async () => expect(await machine.git('demo', 'rev-parse', 'feature/bw')).toBe(commit))
  })

  it('stands still while it is paused, with what was stopped inside left as it was', async () => {
    await machine.tmux.input(name, 'cd /tmp; while :; do echo x >>ticks; sleep 0.01; done\n')
    const ticks = async () => (await run('wc', ['-c', `/proc/${pid()}/root/tmp/ticks`], { allowFailure: true })).stdout
    await inside("setsid sh -c 'echo $$ >/tmp/stopped; kill -STOP $$' >/dev/null 2>&1 &")
    await eventually(async () => expect(await ticks()).toMatch(/^\d{2}/))
    expect(await machine.sessions.pause(id)).toMatchObject({ state: 'paused' })
    const before = await ticks()
    await sleep(300)
    expect(await ticks()).toBe(before)
    expect(() => machine.sessions.execArgv(id, ['true'])).toThrow(/paused/)
    expect((await machine.sessions.workAtRisk(id)).modified).toEqual([])
    await machine.reopen('degraded')
    expect(machine.sessions.require(id).state).toBe('paused')
    await machine.sessions.resume(id)
    await eventually(async () => expect(await ticks()).not.toBe(before))
    expect(await inside('grep State /proc/$(cat /tmp/stopped)/status')).toMatch(/T \(stopped\)/)
    await machine.tmux.input(name, '\x03')
  })

  it('is measured, and refuses limits it could not hold to; that of the disk can be changed', async () => {
    await expect(machine.sessions.setLimits(id, { memoryMb: 100 })).rejects.toMatchObject({
      code: 'ISOLATION_UNAVAILABLE',
    })
    expect((await machine.sessions.setLimits(id, { diskMb: 5_000 })).limits?.diskMb).toBe(5_000)
  })

  it('ends what is run in it from outside when its caller goes', async () => {
    await using execs = new Execs({ sessions: machine.sessions, log: createLogger('silent') })
    const request = { sessionId: id, execId: '01J00000000000000000000000', argv: ['sleep', '2000'] }
    const exec = execs.open({ request, send: () => undefined, onEnd: () => undefined })
    await eventually(async () => expect(await inside('pgrep -fc "^sleep 2000"')).toBe('1'))
    exec.close()
    await eventually(async () => expect(await inside('pgrep -fc "^sleep 2000"; true')).toBe('0'))
  })

  it('refuses to go on in another runtime while it runs', async () => {
    machine.runtime = 'runc'
    await expect(machine.openSessions('degraded')).rejects.toThrow(/1 of the sessions.*AIO_RUNTIME=bubblewrap/)
    machine.runtime = 'bubblewrap'
  })

  it('is archived before it is removed, and leaves nothing', async () => {
    await inside('echo unsaved >b.txt')
    await expect(machine.terminate(id)).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
    const process = { pid: pid(), startTime: startTimeOf(pid()) }
    const { archive } = await machine.terminate(id, true)
    expect(archive?.id).toMatch(/^demo_bw/)
    expect(startTimeOf(process.pid)).not.toBe(process.startTime)
    expect(await machine.leftovers(id)).toEqual([])
    expect((await run('pgrep', ['-f', `${machine.run}/bubblewrap/${name}`], { allowFailure: true })).stdout).toBe('')
    const restored = await machine.command(async (steps) => {
      return await machine.sessions.restore({ archiveId: archive?.id ?? '', name: 'back' }, steps)
    })
    expect((await machine.inside(restored.id, 'cat a.txt b.txt')).out).toBe('two\nunsaved')
    await machine.terminate(restored.id, true)
  })

  it('ends with the process that runs it, and is told to have been killed', async () => {
    const made = await machine.create({ projectId: 'demo', name: 'gone' })
    const [outer = ''] = (await run('pgrep', ['-of', `^bwrap .*/demo_gone`])).stdout.split('\n')
    process.kill(Number(outer), 'SIGKILL')
    await eventually(async () =>
      expect(machine.sessions.require(made.id)).toMatchObject({ state: 'failed', exit: { reason: 'killed' } }),
    )
    await machine.terminate(made.id, true)
  })

  it('hands an agent the two ends of its pipe', async () => {
    const before = machine.launch
    machine.launch = { argv: ['cat'], env: {}, chat: {} }
    const made = await machine.create({ projectId: 'demo', name: 'chat', interface: 'chat' })
    const { start } = machine.sessions.chatOf(made.id)
    await writeFile(start?.files.input ?? '', 'hello\n')
    await eventually(async () => expect(await readFile(start?.files.output ?? '', 'utf8')).toBe('hello\n'))
    await machine.terminate(made.id, true)
    machine.launch = before
  })

  it('tells how its program ended, and what kept it from starting', async () => {
    machine.launch = { argv: ['sh', '-c', 'echo bye; exit 3'], env: {} }
    const made = await machine.create({ projectId: 'demo', name: 'short' })
    await eventually(async () =>
      expect(machine.sessions.require(made.id)).toMatchObject({
        state: 'failed',
        exit: { reason: 'exited', code: 3, lastLines: expect.arrayContaining(['bye']) },
      }),
    )
    await machine.terminate(made.id, true)
    machine.launch = { argv: ['true'], env: { '': 'a variable without a name' } }
    await expect(machine.create({ projectId: 'demo', name: 'never' })).rejects.toThrow(/setenv failed/)
    expect(await machine.leftovers('demo_never')).toEqual([])
    expect(await machine.sessions.list()).toEqual([])
  })
})
