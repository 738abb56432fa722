import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RootfsInfo } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, makeRepository, type Platform, startPlatform, until } from './harness/platform.ts'

/** A build takes half a minute with the packages nearby; a slow mirror and busy cores get five. */
const BUILD_MS = 300_000

let platform: Platform

beforeAll(async () => {
  platform = await startPlatform()
  await platform.json('projects', 'create', 'shop', '--repo', await makeRepository(platform.home))
  await platform.json('sessions', 'create', 'shop', 'before', '--agent', 'shell')
})
afterAll(async () => await platform?.[Symbol.asyncDispose]())

const run = async (session: string, script: string) =>
  await platform.aio(['sessions', 'exec', session, '--', 'sh', '-c', script])
const inside = async (session: string, script: string) => {
  const result = await run(session, script)
  expect(result).toMatchObject({ code: 0, stderr: '' })
  return result.stdout
}
const versions = async () => await readdir(join(platform.aioHome, 'rootfs.versions')).catch(() => [])

describe('aio rootfs', () => {
  it('is for admins, and the skeleton without a build', async () => {
    expect(await platform.json<RootfsInfo>('rootfs', 'info')).toMatchObject({
      kind: 'skeleton',
      inUseBy: ['shop_before'],
    })
    const { token } = await platform.json<{ token: string }>('tokens', 'create', '--role', 'operator', '--name', 'op')
    const refused = [
      await platform.aio(['rootfs', 'build', '--json', '--token', token]),
      await platform.aio(['run', 'build_rootfs', '--json', '--token', token]),
    ]
    for (const { stdout } of refused) expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'FORBIDDEN' } })
    expect((await platform.aio(['rootfs', 'info', '--token', token])).stdout).toContain('/usr')
  })

  it('leaves nothing behind when a build is cancelled half way', { timeout: BUILD_MS }, async () => {
    await using aio = createClient({ url: platform.wsUrl, token: platform.token })
    const events = aio.events({ types: ['command_progress'] })
    const building = aio.rootfs.build.mutate({}).then(
      () => 'built',
      (error: { code?: string }) => error.code,
    )
    for await (const event of events) {
      // By then the build has /proc and more mounted in its own namespace.
      if (event.type !== 'command_progress' || event.message?.startsWith('Installing the base') !== true) continue
      await expect(aio.rootfs.build.mutate({})).rejects.toMatchObject({ code: 'CONFLICT' })
      await aio.commands.cancel.mutate({ commandId: event.commandId })
      break
    }
    expect(await building).toBe('CANCELLED')
    expect(await versions()).toEqual([])
    // What has been fetched is there for the next try.
    expect(
      (await readdir(join(platform.aioHome, 'rootfs.packages'))).filter((name) => name.endsWith('.deb')).length,
    ).toBeGreaterThan(50)
    expect(await readFile('/proc/mounts', 'utf8')).not.toContain(platform.aioHome)
    expect(await platform.json<RootfsInfo>('rootfs', 'info')).toMatchObject({ kind: 'skeleton' })
  })

  it('builds a Debian, with progress', { timeout: BUILD_MS }, async () => {
    const built = await platform.aio(['rootfs', 'build'], { timeoutMs: BUILD_MS - 10_000 })
    expect(built, built.stderr + platform.output()).toMatchObject({ code: 0 })
    expect(built.stdout).toMatch(/Debian GNU\/Linux.*, \d+ packages, \d+ MB, built .*\nNew sessions start from it/)
    const percents = [...built.stderr.matchAll(/^ *(\d+)% /gm)].map(([, percent]) => Number(percent))
    expect(percents.length).toBeGreaterThan(5)
    expect(percents).toEqual(percents.toSorted((a, b) => a - b))
    expect(built.stderr).toContain('Installing git and the other tools')
    const info = await platform.json<RootfsInfo>('rootfs', 'info')
    expect(info).toMatchObject({ kind: 'built', distribution: expect.stringContaining('Debian'), inUseBy: [] })
    expect(info.packages).toBeGreaterThan(50)
    expect(await versions()).toHaveLength(1)
  })

  it('is what the next session starts from, without a restart, and as isolated as ever', async () => {
    const session = await platform.json('sessions', 'create', 'shop', 'after', '--agent', 'shell')
    expect(session).toMatchObject({ state: 'running', isolation: 'full' })
    const { path, inUseBy } = await platform.json<RootfsInfo>('rootfs', 'info')
    expect(inUseBy).toEqual(['shop_after'])
    expect(await inside('shop_after', 'cat /etc/debian_version')).toBe(
      await readFile(join(path, 'etc/debian_version'), 'utf8'),
    )
    expect(await inside('shop_after', 'rg --files-with-matches line file-0.txt')).toBe('file-0.txt\n')
    expect(await inside('shop_after', 'stat -c %U:%G /usr/bin/git /etc/shadow')).toBe('root:root\nroot:shadow\n')
    expect(await inside('shop_after', 'id -un; id -u; pwd; echo $HOME')).toBe(
      'agent\n1000\n/project/shop_after\n/home/agent\n',
    )
    const status = await inside('shop_after', 'cat /proc/self/status /proc/self/uid_map')
    expect(status).toMatch(/^Seccomp:\s+2$/m)
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
    // A range of its own, or the common one where owners of mounts cannot be mapped.
    expect(Number(/^\s+0 (\d+)\s+65536$/m.exec(status)?.[1])).toBeGreaterThanOrEqual(1_895_825_408)
    for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb', 'CapInh'])
      expect(status).toMatch(new RegExp(`^${set}:\\s+0{16}$`, 'm'))
    expect(await exec('find', [path, '-type', 'f', '-perm', '/6000'])).toBe('')
    // Root's directories are root's; a layer of the session's own takes what its user may write.
    expect(
      await inside(
        'shop_after',
        'for d in / /etc /usr /var /opt /home; do touch $d/x 2>/dev/null && echo $d; done; true',
      ),
    ).toBe('')
    await inside('shop_after', 'echo mine > /usr/local/bin/tool && echo temporary > /var/tmp/t')
    await platform.json('sessions', 'create', 'shop', 'beside', '--agent', 'shell')
    expect(await inside('shop_beside', 'ls -A /usr/local/bin /var/tmp')).toBe('/usr/local/bin:\n\n/var/tmp:\n')
    expect(await exec('find', [join(path, 'usr/local/bin'), '-type', 'f'])).toBe('')
    await platform.json('sessions', 'terminate', 'shop_beside')
    expect(await inside('shop_after', 'touch /tmp/x /var/tmp/y ~/z && ls /sys/class/net')).toBe('lo\n')
    expect(
      await inside('shop_after', 'cat /etc/hostname /etc/resolv.conf; ls -A /dev /etc/apt/apt.conf.d'),
    ).not.toMatch(/nameserver|mmdebstrap|sda|kmsg/)
  })

  it('brings commits home, archives and passes exit codes on as before, beside a session on the skeleton', async () => {
    expect((await run('shop_after', 'exit 7')).code).toBe(7)
    await inside('shop_after', 'echo hi > a && git add a && git commit -qm from-debian')
    await until(async () => {
      const tip = await exec('git', [
        '-C',
        `${platform.projectsDir}/shop/.repo`,
        'log',
        '-1',
        '--format=%s',
        'feature/after',
      ])
      return tip.trim() === 'from-debian'
    })
    expect((await run('shop_before', 'test -e /etc/aio-rootfs.json')).code).toBe(1)
    await inside('shop_before', 'git commit -q --allow-empty -m from-skeleton')
    await inside('shop_after', 'echo dirty > dirty.txt')
    const refused = await platform.aio(['sessions', 'terminate', 'shop_after', '--json'])
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'WORK_AT_RISK' } })
    const removed = await platform.json('sessions', 'terminate', 'shop_after', '--force')
    expect(removed).toMatchObject({ archive: { sha256: expect.any(String) } })
    expect((await platform.aio(['sessions', 'terminate', 'shop_before'])).code).toBe(0)
  })
})
