import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Session } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StepReport } from '../command/steps.ts'
import { TestMachine } from './test-machine.ts'

/** Looks every 25 ms until it holds; the promises under test say how long that may take. */
async function until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`It did not come true within ${withinMs} ms.`)
    await sleep(25)
  }
}

let machine: TestMachine
let session: Session
const reports: StepReport[] = []

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
  session = await machine.create({ projectId: 'demo', name: 'one', title: 'First' }, (report) => reports.push(report))
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

describe('a new session', () => {
  it('runs, on a branch of its own, from the commit of the default branch', async () => {
    expect(session).toMatchObject({ id: 'demo_one', state: 'running', isolation: 'full', branch: 'feature/one' })
    expect(session.base).toEqual({ ref: 'main', commit: await machine.git('demo', 'rev-parse', 'main') })
    expect(session.headCommit).toBe(session.base.commit)
  })
  it('reports its steps', () => {
    const done = reports.flatMap(({ step }) => (step?.state === 'done' ? [step.name] : []))
    expect(done.toSorted()).toEqual([
      'Base',
      'Branch',
      'Container',
      'Home',
      'Isolation',
      'Record',
      'Workspace',
      'Worktree',
    ])
  })
  it('is a registered and locked worktree', async () => {
    const list = await machine.git('demo', 'worktree', 'list', '--porcelain')
    expect(list).toMatch(/worktree .*\/demo_one\nHEAD [0-9a-f]+\nbranch refs\/heads\/feature\/one\nlocked a session/)
  })
  it('sees a clean checkout of its branch, the default branch and the origin, and no other session’s branch', async () => {
    const other = await machine.create({ projectId: 'demo', name: 'other' })
    const { out } = await machine.inside(
      other.id,
      'git status --porcelain=v2 --branch; git branch -a; git log --format=%s; cat a.txt',
    )
    expect(out).toContain('# branch.head feature/other')
    expect(out).toContain('remotes/origin/main')
    expect(out).toContain('first\none')
    expect(out).not.toContain('feature/one')
    expect(out).not.toMatch(/^[12?!u] /m)
    await machine.terminate(other.id)
  })
  it('is the user agent in a home of its own, in the workspace', async () => {
    const { out } = await machine.inside(
      session.id,
      'id -un; echo $HOME; pwd; cat ~/.profile; touch ~/x && echo ok; hostname',
    )
    expect(out.split('\n')).toEqual(['agent', '/home/agent', '/project/demo_one', '# seeded', 'ok', 'one'])
  })
  it('has a configuration that only root can read and that holds no host path for git', async () => {
    const config = join(machine.projects.paths('demo').bundles, 'demo_one/config.json')
    expect((await stat(config)).mode & 0o777).toBe(0o600)
    const { out } = await machine.inside(session.id, 'cat .git/objects/info/alternates; git config user.email')
    expect(out.split('\n')[0]).toBe('/project/.objects')
    expect(out.split('\n')[1]).not.toBe('')
  })
  it('refuses the same name, without touching what is there', async () => {
    await expect(machine.create({ projectId: 'demo', name: 'one' })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await machine.inside(session.id, 'echo alive')).out).toBe('alive')
  })
  it('passes on the exit status and keeps relative directories within the workspace', async () => {
    expect((await machine.inside(session.id, 'exit 7')).exitCode).toBe(7)
    expect(machine.sessions.execArgv(session.id, ['ls'], { cwd: 'src' }).args).toContain('/project/demo_one/src')
    expect(machine.sessions.execArgv(session.id, ['ls'], { cwd: '/tmp' }).args).toContain('/tmp')
  })
  it('tells every client of its states', () => {
    const states = machine.events.flatMap((event) =>
      event.type === 'session_updated' && event.sessionId === 'demo_one' ? [event.session.state] : [],
    )
    expect(states.at(0)).toBe('starting')
    expect(states.at(-1)).toBe('running')
  })
})

describe('commits come home', () => {
  it('a commit, and an amended one within 4 s, with the replaced one kept as long as git inside remembers it', async () => {
    const head = async () => await machine.git('demo', 'log', '-1', '--format=%s', 'feature/one')
    await machine.inside(session.id, 'echo hi > b && git add b && git commit -qm second')
    await until(async () => (await head()) === 'second', 4_000)
    const replaced = await machine.git('demo', 'rev-parse', 'feature/one')
    await machine.inside(session.id, 'git commit -q --amend -m amended')
    await until(async () => (await head()) === 'amended', 4_000)
    const amended = await machine.git('demo', 'rev-parse', 'feature/one')
    await until(() => machine.sessions.get(session.id)?.headCommit === amended, 2_000)
    expect(await machine.git('demo', 'rev-parse', `refs/sessions/demo_one/lost/${replaced}`)).toBe(replaced)
  })
  it('other branches and every stash, and a branch that takes the place of a directory of branches', async () => {
    await machine.inside(
      session.id,
      'git branch side/a; echo 1 >> a.txt; git stash -q; echo 2 >> a.txt; git stash -q; git branch -m side/a side',
    )
    await machine.sessions.bringHome(session.id)
    await machine.inside(session.id, 'git branch -m side side/b')
    await machine.sessions.bringHome(session.id)
    const refs = await machine.git('demo', 'for-each-ref', '--format=%(refname)', 'refs/sessions', 'refs/incoming')
    expect(refs.split('\n').map((ref) => ref.replace('refs/sessions/demo_one/', ''))).toEqual(
      expect.arrayContaining(['head', 'heads/feature/one', 'heads/side/b', 'stash/0', 'stash/1']),
    )
    expect(refs).not.toContain('refs/incoming')
    await machine.inside(session.id, 'git stash drop -q; git stash drop -q')
  })
  it('a reset to an older commit, which brings nothing new', async () => {
    await machine.inside(session.id, 'git reset -q --hard HEAD~1')
    await machine.sessions.bringHome(session.id)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/one')).toBe('first')
    expect(await machine.git('demo', 'for-each-ref', '--format=%(subject)', 'refs/archive/demo_one')).toContain(
      'amended',
    )
  })
  it('no reference but its own, whatever its branches are called', async () => {
    const others = async () =>
      (await machine.git('demo', 'for-each-ref'))
        .split('\n')
        .filter((line) => !/refs\/(sessions|archive)\/demo_one\/|refs\/heads\/feature\/one$/.test(line))
        .join('\n')
    const before = await others()
    await machine.inside(
      session.id,
      'git commit -q --allow-empty -m evil; h=$(git rev-parse HEAD); echo $h > .git/refs/heads/main; mkdir -p .git/refs/heads/refs/heads .git/refs/heads/feature; echo $h > .git/refs/heads/refs/heads/main; echo $h > .git/refs/heads/feature/other; echo $h > ".git/refs/heads/a..b"',
    )
    await machine.sessions.bringHome(session.id)
    expect(await others()).toBe(before)
    await machine.inside(session.id, 'rm -rf .git/refs/heads/refs .git/refs/heads/a..b .git/refs/heads/feature/other')
  })
  it('never runs anything of the repository on the host (I-13)', async () => {
    const canary = join(machine.dir, 'canary')
    const plant = `touch ${canary} /tmp/planted`
    await machine.inside(
      session.id,
      [
        `printf '#!/bin/sh\\n${plant}\\ncat\\n' > /home/agent/evil && chmod +x /home/agent/evil`,
        'git config core.fsmonitor /home/agent/evil',
        'git config filter.evil.clean /home/agent/evil',
        'git config gpg.program /home/agent/evil && git config log.showSignature true',
        'git config core.sshCommand /home/agent/evil && git config diff.external /home/agent/evil',
        'mkdir -p .git/hooks && for h in post-checkout reference-transaction pre-commit post-index-change; do cp /home/agent/evil .git/hooks/$h; done',
        'echo "* filter=evil" > .gitattributes && echo changed >> a.txt',
        'ln -s /etc/shadow shadow-link',
      ].join(' && '),
    )
    await machine.sessions.bringHome(session.id)
    await machine.sessions.workAtRisk(session.id)
    await sleep(500)
    await expect(stat(canary)).rejects.toMatchObject({ code: 'ENOENT' })
    // The plant works where it may: inside.
    expect((await machine.inside(session.id, 'git status >/dev/null; ls /tmp/planted')).out).toContain('/tmp/planted')
    await machine.inside(
      session.id,
      'git config --unset core.fsmonitor; git config --unset filter.evil.clean; git config --unset diff.external; git config --unset log.showSignature; rm -rf .git/hooks .gitattributes shadow-link; git checkout -q a.txt',
    )
  })
  it('a .git that leads elsewhere is not followed', async () => {
    const other = await machine.create({ projectId: 'demo', name: 'linked' })
    await machine.inside(other.id, `mv .git .git2 && ln -s ${machine.projects.paths('demo').repo}/.git .git`)
    await expect(machine.sessions.bringHome(other.id)).rejects.toMatchObject({ code: 'EXEC_ERROR' })
    expect((await machine.sessions.workAtRisk(other.id)).operations).toEqual([
      expect.stringContaining('could not be read'),
    ])
    await machine.terminate(other.id, true)
  })
})

describe('two sessions', () => {
  it('share neither files, processes, branches nor names (I-6)', async () => {
    const second = await machine.create({ projectId: 'demo', name: 'two' })
    await machine.inside(session.id, 'echo secret > mine.txt')
    const { out } = await machine.inside(second.id, 'ls -a . /project /home /tmp; ps -e -o args; git for-each-ref')
    expect(out).not.toMatch(/mine\.txt|demo_one|feature\/one/)
    const touch = await machine.inside(
      second.id,
      'touch /project/.objects/x /usr/x /etc/x /opt/agents/x /project/x 2>&1',
    )
    expect(touch.exitCode).not.toBe(0)
    await machine.inside(second.id, 'rm -rf .git')
    expect((await machine.inside(session.id, 'git log --format=%s | tail -1; rm mine.txt')).out).toBe('first')
    await machine.terminate(second.id, true)
  })
})

describe('what can go wrong', () => {
  it('an unknown base is refused before any step', async () => {
    const steps: StepReport[] = []
    const creating = machine.create({ projectId: 'demo', name: 'nowhere', base: 'no-such-branch' }, (r) =>
      steps.push(r),
    )
    await expect(creating).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(steps).toEqual([])
  })
  it('starts from a tag', async () => {
    const tagged = await machine.create({ projectId: 'demo', name: 'tagged', base: 'v1' })
    expect(tagged.base.ref).toBe('v1')
    await machine.terminate(tagged.id)
  })
  it('a branch without a session is a conflict that names the way on', async () => {
    await expect(machine.create({ projectId: 'demo', name: 'tagged' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/resumeBranch.*--resume-branch/),
    })
    const resumed = await machine.create({ projectId: 'demo', name: 'tagged', resumeBranch: true })
    expect(resumed.branch).toBe('feature/tagged')
    await machine.terminate(resumed.id)
  })
  it('a creation that fails leaves nothing behind, and does not undo what it did not make', async () => {
    const { launch } = machine
    machine.launch = { argv: ['/bin/bash'], env: {}, gateway: 'anthropic' }
    machine.failAttach = true
    await expect(machine.create({ projectId: 'demo', name: 'broken' })).rejects.toThrow('no door')
    machine.launch = launch
    machine.failAttach = false
    expect(machine.problems).toEqual([])
    expect(await machine.leftovers('demo_broken')).toEqual([])
    expect(await machine.git('demo', 'worktree', 'list')).not.toContain('broken')
    expect(await machine.git('demo', 'branch', '--list', 'feature/broken')).toBe('')
    await expect(stat(join(machine.projects.paths('demo').bundles, 'demo_broken'))).rejects.toThrow()
    expect(machine.sessions.get('demo_broken')).toBeUndefined()
  })
  it('a program that ends at once leaves a failed session with its status, last lines and workspace', async () => {
    const { launch } = machine
    machine.launch = { argv: ['/bin/sh', '-c', 'echo made > made.txt; echo goodbye; exit 3'], env: {} }
    const { id } = await machine.create({ projectId: 'demo', name: 'short' })
    machine.launch = launch
    await until(() => machine.sessions.get(id)?.state === 'failed', 3_000)
    expect(machine.sessions.get(id)?.exit).toMatchObject({ reason: 'exited', code: 3, lastLines: ['goodbye'] })
    expect(() => machine.sessions.execArgv(id, ['ls'])).toThrow(/failed/)
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['made.txt'])
    await expect(machine.terminate(id)).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
    await machine.terminate(id, true)
  })
  it('a program that does not exist fails the same way', async () => {
    const { launch } = machine
    machine.launch = { argv: ['/no/such/agent'], env: {} }
    const { id } = await machine.create({ projectId: 'demo', name: 'missing' })
    machine.launch = launch
    await until(() => machine.sessions.get(id)?.state === 'failed', 3_000)
    expect(machine.sessions.get(id)?.exit?.lastLines?.join(' ')).toContain('/no/such/agent')
    await machine.terminate(id)
  })
  it('lack of memory and a kill are told apart', async () => {
    const { launch } = machine
    machine.launch = { argv: ['/usr/bin/perl', '-e', '$x = "a" x 3_000_000_000'], env: {} }
    const hungry = await machine.create({ projectId: 'demo', name: 'hungry' })
    machine.launch = launch
    const killed = await machine.create({ projectId: 'demo', name: 'killed' })
    process.kill((await machine.pidOf(killed.id)) ?? Number.NaN, 'SIGKILL')
    await until(() => machine.sessions.get(killed.id)?.exit !== undefined, 3_000)
    expect(machine.sessions.get(killed.id)?.exit?.reason).toBe('killed')
    await until(() => machine.sessions.get(hungry.id)?.exit !== undefined, 20_000)
    expect(machine.sessions.get(hungry.id)?.exit?.reason).toBe('oom')
    await machine.terminate(killed.id)
    await machine.terminate(hungry.id)
  }, 30_000)
  it('writes a record that a cut can never turn into another one', async () => {
    const record = await readFile(join(machine.projects.paths('demo').bundles, 'demo_one/session.json'), 'utf8')
    expect(JSON.parse(record)).toMatchObject({ phase: 'ran', session: { state: 'running' } })
  })
})

describe('many at once', () => {
  it('two creations from a new commit build its base once', async () => {
    await machine.project('fresh', { 'x.txt': 'x\n' })
    const both = await Promise.all(['a', 'b'].map((name) => machine.create({ projectId: 'fresh', name })))
    expect(both.map(({ state }) => state)).toEqual(['running', 'running'])
    for (const { id } of both) {
      expect((await machine.inside(id, 'git status --porcelain')).out).toBe('')
      await machine.terminate(id)
    }
  })
})
