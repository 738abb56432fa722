import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Archive, Session } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, makeRepository, type Platform, startPlatform } from './harness/platform.ts'
import { noWorkIsLost } from './work-loss/no-work-is-lost.ts'

let platform: Platform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(async () => await platform[Symbol.asyncDispose]())

// `pnpm soak` tries it for longer, with other seeds.
const runs = Number(process.env['AIO_WORK_LOSS_RUNS'] ?? 6)
const seed = Number(process.env['AIO_WORK_LOSS_SEED'] ?? 20_261_122)

it(
  `D-01: no work is lost, ${runs} states from seed ${seed}`,
  async () => await noWorkIsLost(platform, { runs, seed }),
  60_000 + runs * 60_000,
)

describe('from the command line', () => {
  const inside = async (session: string, script: string) =>
    (await platform.aio(['sessions', 'exec', session, '--', 'sh', '-c', script])).stdout
  beforeAll(async () => {
    await platform.json('projects', 'create', 'shop', '--repo', await makeRepository(platform.home))
    await platform.json('sessions', 'create', 'shop', 'one', '--agent', 'shell')
    await inside('shop_one', 'echo precious > work.txt; git commit -q --allow-empty -m mine')
  })
  it('a session is forked and exported, to a file that must not be there yet', async () => {
    const fork = await platform.json<Session>('sessions', 'fork', 'shop_one', 'two')
    expect(fork).toMatchObject({ id: 'shop_two', state: 'running', forkedFrom: 'shop_one', branch: 'feature/two' })
    expect(await inside('shop_two', 'cat work.txt; git log -1 --format=%s')).toBe('precious\nmine\n')
    const patch = await platform.aio(['sessions', 'export', 'shop_two'])
    expect(patch.stdout).toContain('+++ b/work.txt\n')
    const file = join(platform.home, 'work.bundle')
    const written = await platform.aio(['sessions', 'export', 'shop_two', '--format', 'bundle', '-o', file])
    expect(written).toMatchObject({ code: 0, stdout: expect.stringContaining('Wrote ') })
    expect(await exec('git', ['bundle', 'list-heads', file])).toContain('refs/heads/feature/two')
    await writeFile(file, 'mine')
    const refused = await platform.aio(['sessions', 'export', 'shop_two', '-o', file])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('exists') })
    expect(await readFile(file, 'utf8')).toBe('mine')
  })
  it('an export larger than any window comes whole', async () => {
    await inside('shop_two', 'head -c 6000000 /dev/urandom > bytes; sha256sum bytes > sum')
    const file = join(platform.home, 'large.patch')
    await platform.json('sessions', 'export', 'shop_two', '-o', file)
    const clone = join(platform.home, 'patched')
    await exec('git', ['clone', '-q', join(platform.projectsDir, 'shop/.repo'), clone])
    await exec('git', ['-C', clone, 'apply', file])
    await exec('sh', ['-c', 'cd "$0" && sha256sum -c sum', clone])
  })
  it('a project is deleted with its sessions, created again, and one of them brought back', async () => {
    const refused = await platform.aio(['projects', 'delete', 'shop'])
    expect(refused.code).toBe(1)
    for (const said of ['shop_one (running): 1 untracked file (work.txt)', 'shop_two (running)', '--force'])
      expect(refused.stderr).toContain(said)
    const deleted = await platform.json<{ sessions: Archive[] }>('projects', 'delete', 'shop', '--force')
    expect(deleted.sessions.map(({ sessionId }) => sessionId)).toEqual(['shop_one', 'shop_two'])
    const listed = await platform.json<Archive[]>('sessions', 'archives', 'shop')
    expect(listed.map(({ id }) => id).toSorted()).toEqual(deleted.sessions.map(({ id }) => id).toSorted())
    const early = await platform.aio(['sessions', 'restore', 'shop_one'])
    expect(early.code).toBe(1)
    await platform.json('projects', 'create', 'shop')
    const back = await platform.json<Session>('sessions', 'restore', 'shop_one', '--name', 'back')
    expect(back).toMatchObject({ id: 'shop_back', state: 'running', branch: 'feature/back' })
    expect(await inside('shop_back', 'cat work.txt; git log -1 --format=%s; git fsck 2>&1')).toContain(
      'precious\nmine\n',
    )
  })
})
