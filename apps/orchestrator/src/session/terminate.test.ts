import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { readTar } from './tar-manifest.ts'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const create = async (name: string) => (await machine.create({ projectId: 'demo', name })).id

async function expectGone(id: string, name: string): Promise<void> {
  expect(await machine.leftovers(id)).toEqual([])
  expect(machine.sessions.get(id)).toBeUndefined()
  expect(await machine.git('demo', 'worktree', 'list')).not.toContain(id)
  expect(await machine.git('demo', 'for-each-ref', `refs/sessions/${id}`)).toBe('')
  for (const path of [`.bundles/${id}`, id])
    await expect(stat(join(machine.projects.paths('demo').dir, path))).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await machine.git('demo', 'branch', '--list', `feature/${name}`)).toContain(`feature/${name}`)
}

describe('terminate without force', () => {
  it('removes a clean session and keeps its branch with its commits', async () => {
    const id = await create('clean')
    await machine.inside(id, 'echo 1 > c && git add c && git commit -qm kept')
    const output = await machine.terminate(id)
    expect(output).toEqual({ sessionId: id, branch: 'feature/clean' })
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/clean')).toBe('kept')
    await expectGone(id, 'clean')
    expect(machine.events.at(-1)).toMatchObject({ type: 'session_removed', sessionId: id })
  })
  it('keeps commits of other branches and stashes in the archive of references', async () => {
    const id = await create('branches')
    await machine.inside(
      id,
      'git switch -qc side && git commit -q --allow-empty -m aside && git switch -q feature/branches && echo s >> a.txt && git stash -q',
    )
    await machine.terminate(id)
    const subjects = await machine.git(
      'demo',
      'for-each-ref',
      '--format=%(refname:lstrip=4) %(subject)',
      `refs/archive/${id}`,
    )
    expect(subjects).toContain('heads/side aside')
    expect(subjects).toContain('stash/0 WIP on feature/branches')
  })
  it.each([
    ['modified', 'echo x >> a.txt', { modified: ['a.txt'] }],
    ['staged', 'echo x > s && git add s', { modified: ['s'] }],
    ['deleted', 'rm a.txt', { modified: ['a.txt'] }],
    ['mode', 'chmod +x a.txt', { modified: ['a.txt'] }],
    ['untracked', 'touch "a b"', { untracked: ['a b'] }],
    ['ignored', 'echo x > keep.log', { ignored: ['keep.log'] }],
    ['nested', 'mkdir sub && git -C sub init -q && touch sub/f', { untracked: ['sub/'] }],
    ['hidden', 'git update-index --assume-unchanged a.txt && echo x >> a.txt', { modified: ['a.txt'] }],
    ['skipped', 'git update-index --skip-worktree a.txt && echo x >> a.txt', { modified: ['a.txt'] }],
    [
      'excluded',
      'echo "*" >> .git/info/exclude 2>/dev/null || { mkdir -p .git/info; echo "*" > .git/info/exclude; }; touch f',
      { ignored: ['f'] },
    ],
    ['merging', 'git commit -q --allow-empty -m x; git rev-parse HEAD~1 > .git/MERGE_HEAD', { operations: ['merge'] }],
    ['broken', 'rm .git/HEAD', { operations: [expect.stringContaining('could not be read')] }],
    ['odd', 'printf x > "$(printf "\\377\\nx")"', { untracked: [expect.stringContaining('\n')] }],
  ])('refuses what is %s, while the session goes on', async (name, script, expected) => {
    const id = await create(name)
    await machine.inside(id, script)
    const refused = machine.terminate(id)
    await expect(refused).rejects.toMatchObject({ code: 'WORK_AT_RISK', details: expected })
    await expect(refused).rejects.toThrow(/--force/)
    expect((await machine.inside(id, 'echo alive')).out).toBe('alive')
    await machine.terminate(id, true)
    await expectGone(id, name)
  })
  it('does not count what the project calls disposable', async () => {
    const id = await create('disposable')
    await machine.inside(id, 'mkdir -p pkg/node_modules/x && touch pkg/node_modules/x/y')
    await machine.terminate(id)
  })
  it('counts commits of a repository that is linked into this one', async () => {
    const id = await create('gitlink')
    await machine.inside(
      id,
      'git init -q sub && git -C sub -c user.name=a -c user.email=a commit -q --allow-empty -m in && git add sub 2>/dev/null && git commit -qm sub',
    )
    await expect(machine.terminate(id)).rejects.toMatchObject({
      code: 'WORK_AT_RISK',
      details: { commits: [expect.stringContaining('sub')] },
    })
    await machine.terminate(id, true)
  })
  it('bounds the lists it answers', async () => {
    const id = await create('plenty')
    await machine.inside(id, 'for i in $(seq 150); do echo > f$i; done')
    const risk = await machine.sessions.workAtRisk(id)
    expect(risk.untracked).toHaveLength(100)
    expect(risk.omitted).toBe(50)
    await machine.terminate(id, true)
  })
})

describe('terminate with force', () => {
  it('archives the layer byte for byte first, with links, modes, odd names and deletions (D-2)', async () => {
    const id = await create('full')
    const made = [
      'rm a.txt',
      'mkdir -p d/e && printf "bytes\\000\\377" > d/e/bin && chmod 4755 d/e/bin',
      'ln -s /etc/shadow link && touch empty && printf x > "$(printf "\\377 odd\\n")"',
      'printf secret > closed && chmod 000 closed',
      `printf long > ${'n'.repeat(200)}`,
      'mkdir -p home/.cache ~/.cache && echo precious > home/.cache/x && echo junk > ~/.cache/y',
      'git stash list; echo staged > st && git add st',
    ].join(' && ')
    expect((await machine.inside(id, made)).exitCode).toBe(0)
    const { archive } = await machine.terminate(id, true)
    if (archive === undefined) throw new Error('nothing was archived')
    const directory = join(machine.home, 'archives', archive.id)
    const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'))
    const read = await readTar(join(directory, 'layer.tar'))
    expect(manifest).toMatchObject({ layer: { sha256: read.sha256, bytes: read.bytes }, session: { id } })
    expect(JSON.parse(await readFile(join(directory, 'files.json'), 'utf8'))).toEqual(read.files)
    const paths = read.files.map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining([
        'upper/d/e/bin',
        'upper/home/.cache/x',
        'upper/closed',
        'upper/empty',
        `upper/${'n'.repeat(200)}`,
        'home/.profile',
      ]),
    )
    expect(paths).not.toContain('home/.cache/y')
    const out = join(machine.dir, 'restored')
    await mkdir(out)
    await run('tar', ['-xpf', join(directory, 'layer.tar'), '-C', out])
    expect(await readFile(join(out, 'upper/d/e/bin'))).toEqual(Buffer.from('bytes\0\xff', 'latin1'))
    expect((await stat(join(out, 'upper/d/e/bin'))).mode & 0o7777).toBe(0o4755)
    // The mark of a deleted file of the base.
    expect((await stat(join(out, 'upper/a.txt'))).isCharacterDevice()).toBe(true)
    expect((await machine.git('demo', 'rev-parse', archive.refs[0] ?? '')).length).toBe(40)
    await expectGone(id, 'full')
  })
  it('removes nothing when the archive cannot be made', async () => {
    const id = await create('unwritable')
    await machine.inside(id, 'echo precious > p')
    const blocked = join(machine.home, 'archives', id)
    await mkdir(join(machine.home, 'archives'), { recursive: true })
    await writeFile(blocked, 'in the way')
    await expect(machine.terminate(id, true)).rejects.toThrow()
    expect(machine.sessions.get(id)).toMatchObject({ state: 'stopped' })
    expect((await machine.sessions.workAtRisk(id)).untracked).toEqual(['p'])
    await rm(blocked)
    expect((await machine.terminate(id, true)).archive?.id).toContain(id)
    await expectGone(id, 'unwritable')
  })
  it('makes no archive when there is nothing to lose', async () => {
    const id = await create('nothing')
    expect((await machine.terminate(id, true)).archive).toBeUndefined()
  })
})
