import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestMachine } from './test-machine.ts'

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const create = async (name: string) => (await machine.create({ projectId: 'demo', name })).id
const inside = async (id: string, script: string) => {
  const { exitCode, out } = await machine.inside(id, script)
  if (exitCode !== 0) throw new Error(`${script} failed: ${out}`)
  return out
}
const isHome = async (commit: string) => (await machine.git('demo', 'cat-file', '-t', commit)) !== ''

describe('commits come home', () => {
  it('also those that were amended, rebased or dropped before anyone looked, and annotated tags', async () => {
    const id = await create('rewritten')
    const made = await inside(
      id,
      [
        'git commit -q --allow-empty -m one; git rev-parse HEAD; git commit -q --allow-empty --amend -m two; git rev-parse HEAD',
        'git commit -q --allow-empty -m dropped; git rev-parse HEAD; git reset -q --hard HEAD~1',
        'git tag -a heavy -m heavy; git rev-parse heavy; git checkout -q --detach; git commit -q --allow-empty -m off',
        'git tag off; git rev-parse HEAD; git switch -q -; git branch moved; git commit -q --allow-empty -m later',
        'git branch -f moved HEAD; git rev-parse HEAD; git notes add -m note; git rev-parse refs/notes/commits',
      ].join('; '),
    )
    await machine.terminate(id)
    for (const commit of made.split('\n')) expect([commit, await isHome(commit)]).toEqual([commit, true])
    const kept = await machine.git('demo', 'for-each-ref', '--format=%(refname:lstrip=4)', `refs/archive/${id}`)
    for (const ref of ['tags/heavy', 'tags/off', 'notes/commits']) expect(kept).toContain(ref)
    // What the base had is not the session's.
    expect(kept).not.toContain('tags/v1')
  })
  it('from a thousand branches', async () => {
    const id = await create('many')
    await inside(
      id,
      'commit=$(git commit-tree -p HEAD -m tip "HEAD^{tree}"); for i in $(seq 1000); do echo "create refs/heads/many/$i $commit"; done | git update-ref --stdin',
    )
    await machine.sessions.bringHome(id)
    const refs = await machine.git('demo', 'for-each-ref', '--format=%(refname)', `refs/sessions/${id}/heads/many`)
    expect(refs.split('\n')).toHaveLength(1_000)
    await inside(
      id,
      'git for-each-ref --format="delete %(refname)" refs/heads/many | git update-ref --stdin; git branch many',
    )
    await machine.sessions.bringHome(id)
    await machine.terminate(id)
  })
  it('from more branches than are taken, not all: then it is not said that all are home', async () => {
    const id = await create('too-many')
    await inside(id, 'for i in $(seq 2100); do echo "create refs/heads/b$i HEAD"; done | git update-ref --stdin')
    await expect(machine.sessions.bringHome(id)).rejects.toMatchObject({ code: 'LIMIT' })
    await expect(machine.terminate(id)).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
    expect((await machine.terminate(id, true)).archive).toBeDefined()
  })
  it('when objects were packed, collected and borrowed objects dropped', async () => {
    const id = await create('packed')
    const commit = await inside(
      id,
      'head -c 200000 /dev/urandom > big; git add big; git commit -qm big; git repack -qadl; git gc -q --prune=now; git rev-parse HEAD',
    )
    await machine.terminate(id)
    expect(await isHome(commit)).toBe(true)
  })
  it('of a session that is frozen', async () => {
    const id = await create('frozen')
    const commit = await inside(id, 'git commit -q --allow-empty -m cold; git rev-parse HEAD')
    machine.setFrozen(`claude-${id}`, true)
    await machine.sessions.bringHome(id)
    machine.setFrozen(`claude-${id}`, false)
    expect(await isHome(commit)).toBe(true)
    await machine.terminate(id)
  })
  it.each([
    ['objects that are missing', 'git commit -q --allow-empty -m x; rm -rf .git/objects/??'],
    [
      'an object that is damaged',
      'git commit -q --allow-empty -m x; for f in .git/objects/??/*; do chmod u+w $f; echo no > $f; done',
    ],
    [
      'a commit that fsck refuses',
      'tree=$(git rev-parse "HEAD^{tree}"); printf "tree $tree\\nauthor a <a> 0 +0000\\ncommitter\\n\\nx" | git hash-object -t commit -w --stdin --literally > .git/refs/heads/feature/faulty; git reset -q --soft HEAD',
    ],
    [
      'a tree with a path of git’s own',
      'blob=$(echo x | git hash-object -w --stdin); tree=$(printf "100644 blob $blob\\t.git\\n" | git mktree); git update-ref refs/heads/evil $(git commit-tree -m evil $tree)',
    ],
  ])('but not %s: they are at risk, and the repository stays whole', async (_what, script) => {
    const name = `faulty-${Math.random().toString(36).slice(2, 8)}`
    const id = await create(name)
    await machine.inside(id, script)
    const risk = await machine.sessions.workAtRisk(id)
    expect([...risk.commits, ...risk.operations]).not.toEqual([])
    await expect(machine.terminate(id)).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
    await machine.terminate(id, true)
    expect(await machine.git('demo', 'fsck', '--strict', '--no-dangling')).toBe('')
  })
})

describe('I-6: two sessions of one project', () => {
  it('cannot see or change each other', async () => {
    const [one, two] = [await create('left'), await create('right')]
    await inside(one, 'echo precious > mine; git commit -q --allow-empty -m mine')
    await machine.sessions.bringHome(one)
    const branch = await machine.git('demo', 'rev-parse', 'feature/left')
    expect(await inside(two, 'ls -A /project')).not.toContain('left')
    for (const path of ['/project/.objects/x', '/project/x'])
      expect((await machine.inside(two, `touch ${path}`)).out).toMatch(/Read-only|Permission denied/)
    expect((await machine.inside(two, 'rm -rf /project/.objects; ls /project/.objects')).out).toContain('pack')
    // Under the other's names, in every way there is.
    await inside(
      two,
      'git commit -q --allow-empty -m forged; git branch feature/left; git update-ref refs/sessions/demo_left/head HEAD; git update-ref refs/archive/demo_left/x HEAD; git update-ref refs/remotes/origin/main HEAD; git worktree prune; git gc -q --prune=now; git branch -D main; git push -q /project/.objects/.. HEAD:main; :',
    )
    await machine.sessions.bringHome(two)
    expect(await machine.git('demo', 'rev-parse', 'feature/left')).toBe(branch)
    expect(await machine.git('demo', 'rev-parse', 'refs/sessions/demo_left/head')).toBe(branch)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'main')).toBe('first')
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'refs/remotes/origin/main')).toBe('first')
    expect(await inside(one, 'cat mine; git log -1 --format=%s; git status --short')).toBe('precious\nmine\n?? mine')
    await machine.terminate(two, true)
    expect(await inside(one, 'git fsck --strict 2>&1; cat mine')).toContain('precious')
    await machine.terminate(one, true)
  })
})

describe('D-04: branches', () => {
  it('stay when a session goes, its own and those it did not make', async () => {
    await machine.git('demo', 'branch', 'feature/theirs', 'main')
    const session = await machine.create({ projectId: 'demo', name: 'theirs', resumeBranch: true })
    await inside(session.id, 'git commit -q --allow-empty -m on; git branch -D main')
    await machine.terminate(session.id, true)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/theirs')).toBe('on')
    expect(await machine.git('demo', 'rev-parse', '--verify', 'main')).not.toBe('')
  })
  it('stay when a creation that would go on with them fails; one that was made for it goes', async () => {
    await machine.git('demo', 'branch', 'feature/kept', 'main')
    machine.launch = { argv: ['/bin/sh'], env: {}, gateway: 'none' }
    machine.failAttach = true
    await expect(machine.create({ projectId: 'demo', name: 'kept', resumeBranch: true })).rejects.toThrow()
    await expect(machine.create({ projectId: 'demo', name: 'made' })).rejects.toThrow()
    machine.failAttach = false
    expect(await machine.git('demo', 'branch', '--list', 'feature/kept', 'feature/made')).toBe('feature/kept')
  })
})
