import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { ExportFormat } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { Archives } from './archives.ts'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo', {
    'a.txt': 'one\n',
    'dir/b.txt': 'two\n',
    'dir/c.txt': 'three\n',
    '.gitignore': '*.log\n',
  })
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const create = async (name: string) => (await machine.create({ projectId: 'demo', name })).id
const fork = async (sessionId: string, name: string) =>
  await machine.command((steps) => machine.sessions.fork({ sessionId, name }, steps))
const restore = async (archiveId: string, options: { name?: string; isStopped?: boolean } = {}) =>
  await machine.command((steps) => machine.sessions.restore({ archiveId, ...options }, steps))
const out = async (id: string, script: string) => (await machine.inside(id, script)).out
const WORK =
  'rm -rf dir && mkdir dir && echo new > dir/n && rm a.txt && echo s > s && git add s && git commit -q --allow-empty -m mine && echo w > .profile-like'

async function exported(id: string, format: ExportFormat): Promise<Buffer> {
  const chunks: Buffer[] = []
  await machine.sessions.export(id, format, async (stdout: Readable) => {
    for await (const chunk of stdout) chunks.push(chunk)
  })
  return Buffer.concat(chunks)
}

describe('a fork', () => {
  it('begins where a running session stands, which goes on meanwhile', async () => {
    const id = await create('source')
    expect((await machine.inside(id, WORK)).exitCode).toBe(0)
    await machine.inside(id, 'echo mark > ~/mark; (while :; do echo t >> ~/ticks; sleep 0.05; done) >/dev/null 2>&1 &')
    const made = await fork(id, 'copy')
    expect(made).toMatchObject({ id: 'demo_copy', state: 'running', branch: 'feature/copy', forkedFrom: id })
    expect(made.base).toEqual(machine.sessions.get(id)?.base)
    const look = 'git status --porcelain=v2; git log --format=%s; find . -path ./.git -prune -o -print | sort'
    expect(await out(made.id, look)).toBe(await out(id, look))
    expect(await out(made.id, 'git symbolic-ref HEAD; cat ~/mark; pwd; ls dir')).toBe(
      'refs/heads/feature/copy\nmark\n/project/demo_copy\nn',
    )
    const before = Number(await out(id, 'wc -l < ~/ticks'))
    await expect.poll(async () => Number(await out(id, 'wc -l < ~/ticks')), { timeout: 10_000 }).toBeGreaterThan(before)
  })
  it('has commits and a branch of its own', async () => {
    await machine.inside('demo_copy', 'git commit -q --allow-empty -m "only in the copy"')
    await machine.sessions.bringHome('demo_copy')
    await machine.sessions.bringHome('demo_source')
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/copy')).toBe('only in the copy')
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/source')).toBe('mine')
    expect(await out('demo_source', 'git log -1 --format=%s')).toBe('mine')
  })
  it('is made of a session whose container is dead as well', async () => {
    const name = 'claude-demo_copy'
    await machine.runc.delete(name)
    await expect.poll(() => machine.sessions.get('demo_copy')?.state, { timeout: 10_000 }).not.toBe('running')
    const made = await fork('demo_copy', 'copy-2')
    expect(made.state).toBe('running')
    expect(await out(made.id, 'git log -1 --format=%s; ls dir')).toBe('only in the copy\nn')
  })
  it('in the middle of a rebase is on its own branch when that ends', async () => {
    const id = await create('rebasing')
    await machine.inside(
      id,
      'git switch -qc onto; echo onto > a.txt; git commit -qam onto; git switch -q -; echo mine > a.txt; git commit -qam mine; git rebase -q onto',
    )
    const made = await fork(id, 'rebased')
    const finish = 'echo both > a.txt; git add a.txt; GIT_EDITOR=true git rebase --continue >/dev/null; git status -sb'
    expect(await out(made.id, finish)).toContain('## feature/rebased')
    expect(await out(id, 'git status')).toContain('rebase in progress')
  })
  it('is refused under a name or branch that is taken, and leaves nothing', async () => {
    await expect(fork('demo_source', 'copy-2')).rejects.toMatchObject({ code: 'CONFLICT' })
    await machine.git('demo', 'branch', 'feature/taken', 'main')
    await expect(fork('demo_source', 'taken')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(machine.sessions.get('demo_taken')).toBeUndefined()
  })
  it('that fails leaves nothing behind and the source running', async () => {
    machine.launch = { argv: ['/no/such/program'], env: {}, gateway: 'none' }
    machine.failAttach = true
    await fork('demo_source', 'failing').catch(() => undefined)
    machine.launch = { argv: ['/bin/bash', '--norc', '--noprofile'], env: {} }
    machine.failAttach = false
    if (machine.sessions.get('demo_failing') !== undefined) await machine.terminate('demo_failing', true)
    expect(await machine.leftovers('demo_failing')).toEqual([])
    expect(await out('demo_source', 'echo alive')).toBe('alive')
    expect(machine.problems).toEqual([])
  })
})

describe('an archive', () => {
  it('is listed, and brought back under another name on a branch of that name', async () => {
    const id = await create('kept')
    await machine.inside(id, `${WORK}; git stash list; echo later >> dir/n`)
    const { archive } = await machine.terminate(id, true)
    expect((await machine.sessions.archives('demo')).map(({ id }) => id)).toContain(archive?.id)
    expect(await machine.sessions.archives('nothing')).toEqual([])
    const made = await restore('demo_kept', { name: 'back' })
    expect(made).toMatchObject({ id: 'demo_back', branch: 'feature/back', restoredFrom: archive?.id, state: 'running' })
    expect(await out(made.id, 'git symbolic-ref HEAD; git log -1 --format=%s; cat dir/n; ls')).toBe(
      'refs/heads/feature/back\nmine\nnew\nlater\ndir\ns',
    )
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/back')).toBe('mine')
  })
  it('is brought back under its own name, once', async () => {
    const made = await restore('demo_kept', { isStopped: true })
    expect(made).toMatchObject({ id: 'demo_kept', state: 'stopped', branch: 'feature/kept' })
    expect((await machine.sessions.workAtRisk('demo_kept')).modified).toContain('a.txt')
    await expect(restore('demo_kept')).rejects.toMatchObject({ code: 'CONFLICT' })
    await machine.terminate('demo_kept', true)
  })
  it('is not brought back over a branch that has gone on', async () => {
    const commit = await machine.git('demo', 'commit-tree', '-p', 'feature/kept', '-m', 'on', 'feature/kept^{tree}')
    await machine.git('demo', 'update-ref', 'refs/heads/feature/kept', commit)
    await expect(restore('demo_kept')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await machine.git('demo', 'rev-parse', 'feature/kept')).toBe(commit)
  })
  it('that is damaged, or does not exist, makes no session', async () => {
    const [latest] = await machine.sessions.archives('demo')
    await appendFile(join(machine.home, 'archives', latest?.id ?? '', 'layer.tar'), 'x')
    await expect(restore('demo_kept', { name: 'damaged' })).rejects.toThrow(/damaged/)
    await expect(restore('demo_nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(machine.sessions.get('demo_damaged')).toBeUndefined()
    expect(machine.problems).toEqual([])
  })
  it('is removed when it is older than it must be kept, and was so for a day of this machine', async () => {
    const dir = join(machine.dir, 'old')
    let now = Date.parse('2026-01-01T00:00:00.000Z')
    let uptimeMs = 0
    const archives = new Archives({ dir, keptDays: 30, now: () => new Date(now), uptimeMs: () => uptimeMs })
    const log = pino({ level: 'silent' })
    const session = machine.sessions.require('demo_source')
    const content = { session, layer: { sha256: '', bytes: 1, files: 0 }, commits: {} }
    const add = async () =>
      await archives.add(session.id, async (directory) => {
        await mkdir(directory)
        return content
      })
    const first = await add()
    now += 29 * 86_400_000
    const second = await add()
    expect(await archives.prune(log)).toEqual([])
    // A clock that jumps ahead and is set right again removes nothing.
    now += 10_000 * 86_400_000
    expect(await archives.prune(log)).toEqual([])
    now -= 9_998 * 86_400_000
    uptimeMs += 86_400_000
    expect(await archives.prune(log)).toEqual([join(dir, first.id)])
    expect((await archives.list(log)).map(({ id }) => id)).toEqual([second.id])
  })
})

describe('an export', () => {
  it('as a patch makes of the base what the workspace is', async () => {
    const id = await create('export')
    await machine.inside(
      id,
      [
        'echo more >> a.txt; git commit -qam committed; rm dir/b.txt; head -c 70000 /dev/urandom > bin; ln -s a.txt link',
        'echo s > staged; git add staged; echo "odd" > "$(printf \'o\\303\\251\\n"d\')"; chmod +x dir/c.txt; mkdir new; echo n > new/n',
        'git update-index --assume-unchanged .gitignore; echo "*.tmp" >> .gitignore; echo no > x.log',
        'git config diff.external "echo evil"; git config diff.noprefix true; git config core.fsmonitor "echo evil"',
      ].join('\n'),
    )
    const patch = await exported(id, 'patch')
    const clone = join(machine.dir, 'patched')
    await run('git', ['clone', '-q', '-b', 'main', machine.projects.paths('demo').repo, clone])
    await writeFile(join(machine.dir, 'work.patch'), patch)
    await run('git', ['-C', clone, 'apply', '--index', join(machine.dir, 'work.patch')])
    const list =
      "find . -path ./.git -prune -o -type f ! -name '*.log' -print0 | sort -z | xargs -0 sha256sum; find . -path ./.git -prune -o -type l -printf '%p %l\\n'; find . -perm -u+x -type f -not -path './.git/*'"
    const { stdout } = await run('sh', ['-c', list], { cwd: clone })
    expect(stdout.trim()).toBe(await out(id, list))
  })
  it('as a patch has no marks of a merge in progress left out', async () => {
    const id = await create('merging')
    await machine.inside(
      id,
      'git switch -qc theirs; echo theirs > a.txt; git commit -qam theirs; git switch -q -; echo ours > a.txt; git commit -qam ours; git merge -q theirs',
    )
    const patch = (await exported(id, 'patch')).toString()
    expect(patch).toContain('+<<<<<<<')
    expect(patch.match(/^diff --git/gm)).toHaveLength(1)
  })
  it('as a bundle can be cloned and has every branch, tag and stash', async () => {
    const id = await create('bundled')
    await machine.inside(
      id,
      'echo b > b; git add b; git commit -qm here; git tag mark; git branch side; echo s >> a.txt; git stash -q',
    )
    const file = join(machine.dir, 'work.bundle')
    await writeFile(file, await exported(id, 'bundle'))
    const heads = (await run('git', ['bundle', 'list-heads', file])).stdout
    for (const ref of ['refs/heads/feature/bundled', 'refs/heads/side', 'refs/tags/mark', 'refs/stash/0', 'HEAD'])
      expect(heads).toContain(` ${ref}\n`)
    const clone = join(machine.dir, 'unbundled')
    await run('git', ['clone', '-q', file, clone])
    const { stdout } = await run('git', ['-C', clone, 'log', '--format=%s'])
    expect(stdout).toBe('here\nfirst\n')
  })
  it('works for a session that is frozen, and for one that is dead', async () => {
    machine.setFrozen('claude-demo_bundled', true)
    expect((await exported('demo_bundled', 'bundle')).length).toBeGreaterThan(100)
    machine.setFrozen('claude-demo_bundled', false)
    await machine.runc.delete('claude-demo_bundled')
    expect((await exported('demo_bundled', 'patch')).toString()).toContain('+++ b/b')
  })
  it('says why when the repository cannot be read', async () => {
    const id = await create('broken')
    await machine.inside(id, 'rm -rf .git/HEAD; echo x > .git/HEAD')
    for (const format of ['patch', 'bundle'] as const)
      await expect(exported(id, format)).rejects.toMatchObject({ code: 'EXEC_ERROR' })
    await rm(join(machine.dir, 'work.patch'), { force: true })
  })
})
