import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, makeRepository, type Platform, startPlatform, until } from './harness/platform.ts'

let platform: Platform

beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(async () => await platform[Symbol.asyncDispose]())

const git = async (project: string, ...args: string[]) =>
  (await exec('git', ['-C', `${platform.projectsDir}/${project}/.repo`, ...args])).trim()

describe('the main job, through the CLI', () => {
  it('goes from a repository to a commit that has come home', async () => {
    const source = await makeRepository(platform.home, 1_200)
    const project = await platform.json<{ id: string }>('projects', 'create', 'shop', '--repo', source)
    expect(project.id).toBe('shop')
    const session = await platform.json('sessions', 'create', 'shop', 'first', '--agent', 'shell')
    expect(session).toMatchObject({ id: 'shop_first', state: 'running', branch: 'feature/first', agent: 'shell' })

    const committed = await platform.aio([
      'sessions',
      'exec',
      'shop_first',
      '--',
      'sh',
      '-c',
      'echo hi > a && git add a && git commit -qm a',
    ])
    expect(committed).toMatchObject({ code: 0 })
    await until(async () => (await git('shop', 'log', '-1', '--format=%s', 'feature/first')) === 'a')
    await platform.aio(['sessions', 'exec', 'shop_first', '--', 'git', 'commit', '-q', '--amend', '-m', 'amended'])
    await until(async () => (await git('shop', 'log', '-1', '--format=%s', 'feature/first')) === 'amended')
    expect(await git('shop', 'worktree', 'list')).toContain('shop_first')
  })

  it('is isolated inside', async () => {
    const inside = async (script: string) => {
      const result = await platform.aio(['sessions', 'exec', 'shop_first', '--', 'sh', '-c', script])
      expect(result.stderr).toBe('')
      return result.stdout
    }
    const status = await inside('cat /proc/self/status')
    expect(status).toMatch(/^Seccomp:\s+2$/m)
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
    for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb', 'CapInh'])
      expect(status).toMatch(new RegExp(`^${set}:\\s+0{16}$`, 'm'))
    expect((await inside('ls /sys/class/net')).trim()).toBe('lo')
    expect((await inside('id -u; pwd')).trim()).toBe('1000\n/project/shop_first')
    const processes = (await inside('ps -eo pid=,comm=')).trim().split('\n')
    expect(processes.length).toBeLessThan(10)
    expect(processes[0]).toMatch(/\b1 tini$/)
    expect(await inside(`ls ${platform.home} /root 2>&1; true`)).not.toMatch(/projects|\.local|\.ssh/)
    expect(await inside('env')).not.toContain(platform.token)
  })

  it('passes the exit status, both outputs and stdin of an exec on', async () => {
    const failed = await platform.aio([
      'sessions',
      'exec',
      'shop_first',
      '--',
      'sh',
      '-c',
      'echo out; echo err >&2; exit 7',
    ])
    expect(failed).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' })
    const fed = await platform.aio(['sessions', 'exec', 'shop_first', '--', 'wc', '-c'], { input: 'x'.repeat(300_000) })
    expect(fed).toMatchObject({ code: 0, stdout: '300000\n' })
    expect((await platform.aio(['sessions', 'exec', 'shop_nope', '--', 'true'])).code).toBe(125)
  })

  it('refuses to throw work away, archives it when told to, and leaves nothing behind', async () => {
    await platform.aio(['sessions', 'exec', 'shop_first', '--', 'sh', '-c', 'echo dirty > dirty.txt'])
    const refused = await platform.aio(['sessions', 'terminate', 'shop_first', '--json'])
    expect(refused.code).toBe(1)
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { code: 'WORK_AT_RISK', message: expect.stringContaining('dirty.txt') },
    })
    const removed = await platform.json<{ archive: { id: string; sha256: string } }>(
      'sessions',
      'terminate',
      'shop_first',
      '--force',
    )
    const tar = join(platform.aioHome, 'archives', removed.archive.id, 'layer.tar')
    expect(await exec('tar', ['-xOf', tar, 'upper/dirty.txt'])).toBe('dirty\n')
    expect((await exec('sha256sum', [tar])).split(' ')[0]).toBe(removed.archive.sha256)
    expect(await exec('runc', ['--root', `${platform.aioRun}/runc`, 'list', '-q'])).not.toContain('shop_first')
    expect(await exec('cat', ['/proc/mounts'])).not.toContain(`${platform.projectsDir}/shop/shop_first`)
    expect(await git('shop', 'worktree', 'list')).not.toContain('shop_first')
    expect(await git('shop', 'log', '-1', '--format=%s', 'feature/first')).toBe('amended')
    expect(await platform.json('sessions', 'list', 'shop')).toEqual([])
  })

  it('answers with the contract’s exit codes', async () => {
    expect((await platform.aio(['sessions', 'create'])).code).toBe(2)
    expect((await platform.aio(['nonsense'])).code).toBe(2)
    expect((await platform.aio(['projects', 'list', '--relay', 'ws://127.0.0.1:1/ws'])).code).toBe(3)
    expect((await platform.aio(['projects', 'list', '--token', 'wrong'])).code).toBe(4)
    expect((await platform.aio(['sessions', 'create', 'nope', 'x', '--json'])).code).toBe(1)
    expect((await platform.aio(['run', 'list_projects', '--json'])).code).toBe(0)
  })

  it('knows the original spellings', async () => {
    const source = await makeRepository(platform.home)
    expect(await platform.json('create-project', 'older', '--repo-url', source)).toMatchObject({ id: 'older' })
    expect(await platform.json<{ id: string }[]>('list-projects')).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: 'older' })]),
    )
    expect(await platform.json('create-session', 'older', 'one')).toMatchObject({ id: 'older_one', agent: 'shell' })
    expect(await platform.json('list-sessions', 'older')).toMatchObject([{ id: 'older_one' }])
    expect((await platform.aio(['terminate-session', 'older_one'])).code).toBe(0)
  })
})
