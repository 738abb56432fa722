import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { TestMachine } from './test-machine.ts'

const CANARY = `/tmp/aio-canary-${randomBytes(6).toString('hex')}`
const TOUCH = `touch ${CANARY}`

let machine: TestMachine

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())
afterEach(() => rmSync(CANARY, { force: true }))

const HOOKS =
  'applypatch-msg pre-applypatch post-applypatch pre-commit post-checkout post-merge pre-push pre-receive update post-receive post-update reference-transaction pre-auto-gc post-rewrite post-index-change fsmonitor-watchman'
const SETTINGS = {
  'core.fsmonitor': TOUCH,
  'core.sshCommand': TOUCH,
  'core.editor': TOUCH,
  'core.pager': TOUCH,
  'core.askPass': TOUCH,
  'core.gitProxy': TOUCH,
  'core.alternateRefsCommand': TOUCH,
  'core.hooksPath': '.evil-hooks',
  'sequence.editor': TOUCH,
  'diff.external': TOUCH,
  'diff.evil.command': TOUCH,
  'diff.evil.textconv': TOUCH,
  'filter.evil.clean': TOUCH,
  'filter.evil.smudge': TOUCH,
  'filter.evil.process': TOUCH,
  'filter.evil.required': 'true',
  'merge.evil.driver': TOUCH,
  'credential.helper': `!${TOUCH}`,
  'alias.status': `!${TOUCH}`,
  'alias.bundle': `!${TOUCH}`,
  'gpg.program': TOUCH,
  'log.showSignature': 'true',
  'pager.log': TOUCH,
  'pager.status': TOUCH,
  'uploadpack.packObjectsHook': TOUCH,
  'protocol.ext.allow': 'always',
  'remote.origin.url': `ext::sh -c "${TOUCH}"`,
  'remote.origin.uploadpack': TOUCH,
  'submodule.x.update': `!${TOUCH}`,
}
const settings = Object.entries(SETTINGS).map(([name, value]) => `git config ${name} '${value}'`)
const evilFile = (path: string) =>
  `mkdir -p "$(dirname ${path})"; printf '[core]\\n\\tfsmonitor = ${TOUCH}\\n\\thooksPath = /project/.evil\\n' > ${path}`

/** What an agent plants, by kind, as scripts that run inside. */
const PLANTS: Record<string, string> = {
  'hooks and settings': [
    `mkdir -p .git/hooks .evil-hooks; for hook in ${HOOKS}; do for d in .git/hooks .evil-hooks; do printf '#!/bin/sh\\n${TOUCH}\\n' > $d/$hook; chmod +x $d/$hook; done; done`,
    'mkdir -p .git/info; echo "* filter=evil diff=evil merge=evil" | tee .gitattributes > .git/info/attributes',
    'echo x >> a.txt; git config user.signingkey x',
    ...settings,
  ].join('\n'),
  'a .git file': `mv .git .real; ${evilFile('.real/config')}; echo "gitdir: .real" > .git; echo x >> a.txt`,
  'a link for .git': `mv .git ~/real; ${evilFile('~/real/config')}; ln -s /home/agent/real .git; echo x >> a.txt`,
  'a link for .git to a directory of the host': 'mv .git .real; ln -s /etc .git',
  commondir: `mkdir .git/common; cp -r .git/objects .git/refs .git/common/; ${evilFile('.git/common/config')}; echo common > .git/commondir; echo x >> a.txt`,
  'commondir and gitdir of the host': 'echo /etc > .git/commondir; echo /etc/passwd > .git/gitdir',
  'config.worktree': `git config extensions.worktreeConfig true; ${evilFile('.git/config.worktree')}; echo x >> a.txt`,
  includes: `${evilFile('/home/agent/evil')}; git config include.path /home/agent/evil; git config includeIf.gitdir:/.path /home/agent/evil; echo x >> a.txt`,
  'a link for its configuration': 'rm .git/config; ln -s /etc/shadow .git/config; ln -s /etc .git/refs/heads/etc',
  alternates: `mkdir -p /home/agent/objects; echo /home/agent/objects >> .git/objects/info/alternates; echo /root >> .git/objects/info/alternates; echo x >> a.txt`,
  'no alternates': ': > .git/objects/info/alternates; echo x >> a.txt',
  'replaced objects and grafts':
    'git commit -q --allow-empty -m a; git replace HEAD HEAD~1; git rev-parse HEAD > .git/info/grafts 2>/dev/null; echo x >> a.txt',
  'a bare repository within': `git init -q --bare bare; ${evilFile('bare/config')}; ${evilFile('bare/hooks/x')}; git config safe.bareRepository all`,
  'a submodule': `git init -q sub; git -C sub commit -q --allow-empty -m s; ${evilFile('sub/.git/config')}; git add sub; printf '[submodule "x"]\\n\\tpath = sub\\n\\turl = ext::${TOUCH}\\n\\tupdate = !${TOUCH}\\n' > .gitmodules`,
}

/** Everything the host does with a workspace. */
async function triggerAll(id: string, name: string): Promise<void> {
  const ignoring = async (action: () => Promise<unknown>) => await action().catch(() => undefined)
  const sink = async (stdout: Readable) => {
    for await (const _chunk of stdout);
  }
  await machine.sessions.workAtRisk(id)
  await ignoring(() => machine.sessions.bringHome(id))
  await ignoring(() => machine.sessions.export(id, 'patch', sink))
  await ignoring(() => machine.sessions.export(id, 'bundle', sink))
  const fork = (steps: Parameters<typeof machine.sessions.fork>[1]) =>
    machine.sessions.fork({ sessionId: id, name: `${name}-fork` }, steps)
  await machine.command(fork)
  await ignoring(() => machine.terminate(id))
  await machine.openSessions()
  await machine.sessions.adopt()
  if (machine.sessions.get(id) !== undefined) await machine.terminate(id, true)
  await machine.terminate(`${id}-fork`, true)
  const archived = (await machine.sessions.archives()).filter(({ sessionId }) => sessionId === id)
  if (archived.length === 0) return
  await machine.command((steps) => machine.sessions.restore({ archiveId: id }, steps))
  await machine.command((steps) => machine.sessions.restore({ archiveId: id, name: `${name}-back` }, steps))
  expect((await machine.inside(`${id}-back`, 'echo alive')).out).toBe('alive')
  for (const each of [id, `${id}-back`]) await machine.terminate(each, true)
}

describe('I-13: what an agent plants for git runs nothing on the host', () => {
  it('though it would, if git ran there', async () => {
    const { id } = await machine.create({ projectId: 'demo', name: 'control' })
    await machine.inside(id, PLANTS['hooks and settings'] ?? '')
    const worktree = join(machine.projects.paths('demo').dir, id)
    await run('git', ['-c', 'safe.directory=*', '-C', worktree, 'status'], { allowFailure: true, timeoutMs: 20_000 })
    expect(existsSync(CANARY)).toBe(true)
    await machine.terminate(id, true)
  })
  it.each(Object.entries(PLANTS).map(([kind, script], index) => [kind, script, `plant-${index}`] as const))(
    '%s',
    async (_kind, script, name) => {
      const { id } = await machine.create({ projectId: 'demo', name })
      await machine.inside(id, script)
      await triggerAll(id, name)
      expect(existsSync(CANARY)).toBe(false)
      expect(await machine.leftovers(id)).toEqual([])
      expect(machine.problems).toEqual([])
    },
  )
  it('nor does the deletion of the project, and the repository is whole', async () => {
    const { id } = await machine.create({ projectId: 'demo', name: 'last' })
    await machine.inside(id, PLANTS['hooks and settings'] ?? '')
    expect((await run('git', ['-C', machine.projects.paths('demo').repo, 'fsck', '--strict'])).exitCode).toBe(0)
    await machine.command((steps) =>
      machine.sessions.clear('demo', { force: true }, steps, async () => await machine.projects.delete('demo', steps)),
    )
    expect(existsSync(CANARY)).toBe(false)
  })
})
