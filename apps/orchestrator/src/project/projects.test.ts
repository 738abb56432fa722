import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CommandInput } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { describe, expect, it, onTestFinished } from 'vitest'
import { StepList } from '../command/steps.ts'
import { createLogger } from '../log.ts'
import { run } from '../process/run.ts'
import { Projects } from './projects.ts'
import { parseGitProgress } from './repository.ts'
import { ProjectSecrets } from './secrets.ts'

async function setUp() {
  const home = await mkdtemp(join(tmpdir(), 'aio-projects-'))
  onTestFinished(async () => await rm(home, { recursive: true, force: true }))
  const open = async () =>
    await Projects.open({
      projectsDir: join(home, 'projects'),
      archivesDir: join(home, 'archives'),
      orchestratorId: ulid(),
      log: createLogger('silent'),
      secrets: new ProjectSecrets({ aioHome: join(home, 'aio'), variable: () => undefined }),
    })
  const projects = await open()
  const create = async (input: CommandInput<'create_project'>, isAdmin = true) => {
    const steps = new StepList(new AbortController().signal, () => undefined)
    try {
      return await projects.create(input, { isAdmin }, steps)
    } catch (error) {
      expect(await steps.undo()).toEqual([])
      throw error
    }
  }
  return { home, open, projects, create, dir: join(home, 'projects') }
}

async function sourceRepository(home: string, branch = 'trunk'): Promise<string> {
  const path = join(home, 'source')
  await run('git', ['init', '-q', '-b', branch, path])
  await writeFile(join(path, 'a.txt'), 'a')
  await run('git', ['-C', path, 'add', '-A'])
  await run('git', ['-C', path, '-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '-qm', 'first'])
  return path
}

const git = async (repo: string, ...args: string[]) => (await run('git', ['-C', repo, ...args])).stdout.trim()

describe('Projects', () => {
  it('clones a repository, infers its name and default branch, and finds it again at the next start', async () => {
    const { home, create, open, dir } = await setUp()
    const source = await sourceRepository(home)
    const project = await create({ repoUrl: source })
    expect(project).toMatchObject({ id: 'source', name: 'source', repoUrl: source, defaultBranch: 'trunk' })
    const repo = join(dir, 'source', '.repo')
    expect(await git(repo, 'log', '-1', '--format=%s', 'trunk')).toBe('first')
    expect(await git(repo, 'rev-parse', '--is-bare-repository')).toBe('false')
    expect(await git(repo, 'config', 'gc.auto')).toBe('0')
    expect((await open()).list()).toMatchObject([{ id: 'source', defaultBranch: 'trunk' }])
  })
  it('makes an empty project with a first commit to start from', async () => {
    const { create, dir } = await setUp()
    expect(await create({ name: 'fresh', title: 'Fresh <b>&</b>' })).toMatchObject({ defaultBranch: 'main' })
    expect(await git(join(dir, 'fresh', '.repo'), 'log', '--format=%s', 'main')).toBe('Start')
  })
  it('gives a cloned repository without commits a first one', async () => {
    const { home, create, dir } = await setUp()
    await run('git', ['init', '-q', '-b', 'dev', join(home, 'empty')])
    expect(await create({ repoUrl: join(home, 'empty') })).toMatchObject({ defaultBranch: 'dev' })
    expect(await git(join(dir, 'empty', '.repo'), 'log', '--format=%s', 'dev')).toBe('Start')
  })
  it('takes the commit of a source with a detached HEAD', async () => {
    const { home, create } = await setUp()
    const source = await sourceRepository(home)
    await git(source, 'checkout', '-q', '--detach')
    expect(await create({ repoUrl: source, name: 'loose' })).toMatchObject({ defaultBranch: 'trunk' })
  })
  it('refuses a name that is taken, also by a directory that is no project', async () => {
    const { create, dir } = await setUp()
    await create({ name: 'one' })
    await expect(create({ name: 'one' })).rejects.toMatchObject({ code: 'CONFLICT' })
    await mkdir(join(dir, 'mine'))
    await expect(create({ name: 'mine' })).rejects.toMatchObject({ code: 'CONFLICT' })
    const both = await Promise.allSettled([create({ name: 'two' }), create({ name: 'two' })])
    expect(both.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
  })
  it('keeps local paths for admins and asks for a name when it cannot make one', async () => {
    const { home, create } = await setUp()
    await expect(create({ repoUrl: home }, false)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(create({})).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(create({ repoUrl: 'https://host.example/日本' })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
  it('leaves nothing behind when a clone fails, and shows no credential', async () => {
    const { create, dir } = await setUp()
    const failing = create({ repoUrl: 'https://user:hunter2@host.invalid/x', name: 'gone' })
    await expect(failing).rejects.toMatchObject({ code: 'EXEC_ERROR', message: expect.not.stringContaining('hunter2') })
    expect(await readdir(dir)).toEqual([])
  })
  it('runs nothing that a cloned repository brings along', async () => {
    const { home, create } = await setUp()
    const source = await sourceRepository(home)
    const canary = join(home, 'canary')
    for (const hook of ['post-checkout', 'pre-upload-pack', 'post-receive'])
      await writeFile(join(source, '.git/hooks', hook), `#!/bin/sh\ntouch ${canary}\n`, { mode: 0o755 })
    await git(source, 'config', 'core.fsmonitor', `touch ${canary}; true`)
    await create({ repoUrl: source })
    expect(await readdir(home)).not.toContain('canary')
  })
  it('moves a deleted project to the archives with all its branches', async () => {
    const { home, create, projects, dir } = await setUp()
    await create({ name: 'old' })
    const { archive } = await projects.delete('old', new StepList(new AbortController().signal, () => undefined))
    expect(archive.startsWith(join(home, 'archives'))).toBe(true)
    expect(await git(join(archive, '.repo'), 'log', '--format=%s', 'main')).toBe('Start')
    expect(await readdir(dir)).toEqual([])
    expect(projects.list()).toEqual([])
  })
  it('leaves a project with a broken file alone and loads the others', async () => {
    const { create, open, dir } = await setUp()
    await create({ name: 'good' })
    await create({ name: 'bad' })
    await writeFile(join(dir, 'bad', 'project.toml'), 'id = "ba')
    expect((await open()).list().map((project) => project.id)).toEqual(['good'])
    expect(await readFile(join(dir, 'bad', 'project.toml'), 'utf8')).toBe('id = "ba')
  })
})

describe('parseGitProgress', () => {
  it.each([
    ['Receiving objects:  50% (5/10), 1.2 MiB | 1 MiB/s', 48],
    ['remote: Counting objects: 100% (10/10), done.', 5],
    ['Resolving deltas: 100% (3/3), done.', 100],
  ])('%s', (line, percent) => expect(parseGitProgress(line)?.percent).toBe(percent))
  it('leaves other lines alone', () => expect(parseGitProgress('fatal: no 50%')).toBeUndefined())
})

describe('settings', () => {
  const steps = () => new StepList(new AbortController().signal, () => undefined)
  it('are changed one by one, taken away by null, and read from what people have written meanwhile', async () => {
    const { create, projects, dir, open } = await setUp()
    await create({ name: 'shop' })
    const toml = join(dir, 'shop/project.toml')
    await writeFile(toml, (await readFile(toml, 'utf8')).replace('name = "shop"', 'name = "shop"\nsetup = "make"'))
    const changed = await projects.update(
      { projectId: 'shop', title: 'The shop', env: { A: '1', B: '2' }, limits: { cpus: 2 } },
      steps(),
    )
    expect(changed).toMatchObject({ title: 'The shop', env: { A: '1', B: '2' }, setup: ['make'], limits: { cpus: 2 } })
    const again = await projects.update(
      { projectId: 'shop', title: null, env: { A: null }, limits: { pids: 64 }, setup: null },
      steps(),
    )
    expect(again).toMatchObject({ env: { B: '2' }, limits: { cpus: 2, pids: 64 } })
    expect(again).not.toHaveProperty('title')
    expect(again).not.toHaveProperty('setup')
    expect((await open()).require('shop')).toMatchObject({ env: { B: '2' }, limits: { cpus: 2, pids: 64 } })
  })
  it('are refused when they cannot be, and stay as they were', async () => {
    const { create, projects } = await setUp()
    await create({ name: 'shop' })
    await expect(projects.update({ projectId: 'shop', defaultBranch: 'nope' }, steps())).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(projects.update({ projectId: 'other' }, steps())).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(projects.require('shop').defaultBranch).toBe('main')
  })
})
