import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import type { AgentPackage } from './agent-file.ts'
import { Installation, type Trial } from './installation.ts'

let dir: string
let agents: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-install-'))
  agents = join(dir, 'agents')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** An npm package as a file; npm installs it as it would one of the registry, without asking that. */
async function makePackage(version: string, script = `#!/bin/sh\necho "fake ${version}"\n`): Promise<string> {
  const path = join(dir, 'package')
  await mkdir(join(path, 'bin'), { recursive: true })
  const scripts = { postinstall: `touch ${join(dir, 'postinstall-ran')}` }
  await writeFile(join(path, 'package.json'), JSON.stringify({ name: 'fake-agent', version, scripts }))
  await writeFile(join(path, 'bin/fake'), script, { mode: 0o600 })
  const file = join(dir, `fake-agent-${version}.tgz`)
  await run('tar', ['-czf', file, '-C', dir, 'package'])
  return file
}

const source: AgentPackage = {
  ...{ name: 'fake-agent', version: '1.2.0', minimumVersion: '1.2.0', program: 'fake' },
  ...{ check: ['--version'], withoutOptional: false, requires: [] },
  binaries: ['node_modules/fake-agent-other/fake', 'node_modules/fake-agent/bin/fake'],
}
/** Runs it as it is; the real one uses a container. */
const trial: Trial = async (directory, [program = '', ...args]) => {
  const { exitCode, stdout, stderr } = await run(join(directory, program), args, { allowFailure: true })
  return { exitCode, said: stdout + stderr }
}
const installFile = async (file: string, lock?: string) =>
  await new Installation(agents).install({
    ...{ agentId: 'fake', source, version: `file:${file}`, lock, trial },
    progress: () => undefined,
  })
const install = async (version: string, script?: string) => await installFile(await makePackage(version, script))
const versions = async () => (await readdir(join(agents, 'fake'))).toSorted()
const programOf = async () => await readlink(join(agents, 'current/fake'))

describe('installing an agent', () => {
  it('puts it in place with a relative link, readable by all, without running its scripts', async () => {
    const installation = new Installation(agents)
    await installation.open()
    expect(installation.version('fake', source)).toBeUndefined()
    expect(await install('1.10.0')).toBe('1.10.0')
    expect(installation.version('fake', source)).toBe('1.10.0')
    expect(await programOf()).toBe('../fake/1.10.0/node_modules/fake-agent/bin/fake')
    expect((await stat(join(agents, 'fake/1.10.0/node_modules/fake-agent/bin/fake'))).mode & 0o555).toBe(0o555)
    await expect(stat(join(dir, 'postinstall-ran'))).rejects.toThrow('ENOENT')
  })

  it('switches to a new version, keeps what a container can reach, and removes the rest', async () => {
    const installation = new Installation(agents)
    await install('1.3.0')
    await install('1.4.0')
    const old = installation.programs ?? ''
    await install('1.5.0')
    // A process that sees the set of 1.4.0 where a container does.
    const root = join(dir, 'root')
    await mkdir(join(root, 'opt/agents/bin'), { recursive: true })
    const script =
      'mount --bind "$1" "$2/opt/agents/bin" && mount --rbind /usr "$2/usr" && exec chroot "$2" /usr/bin/sleep 1000'
    for (const name of ['usr', 'lib64', 'lib']) await mkdir(join(root, name))
    const holder = spawn('unshare', [
      '--mount',
      'sh',
      '-c',
      script.replace('&& exec', '&& mount --rbind /lib "$2/lib" && mount --rbind /lib64 "$2/lib64" && exec'),
      'sh',
      old,
      root,
    ])
    await expect
      .poll(async () => await readFile(`/proc/${holder.pid}/comm`, 'utf8'), { timeout: 20_000 })
      .toBe('sleep\n')
    await installation.prune([holder.pid ?? 0])
    expect(await versions()).toEqual(['1.4.0', '1.5.0'])
    holder.kill('SIGKILL')
    await installation.prune([])
    expect(await versions()).toEqual(['1.5.0'])
    expect(await readdir(join(agents, 'generations'))).toHaveLength(1)
  })

  it('can repair the same version with the same content, and refuses another content under its name', async () => {
    const file = await makePackage('1.5.0')
    await installFile(file)
    await writeFile(join(agents, 'fake/1.5.0/node_modules/fake-agent/bin/fake'), 'broken')
    await installFile(file)
    expect(await readFile(join(agents, 'fake/1.5.0/node_modules/fake-agent/bin/fake'), 'utf8')).toContain('fake 1.5.0')
    await expect(install('1.5.0', '#!/bin/sh\necho "evil 1.5.0"\n')).rejects.toMatchObject({
      code: 'EXEC_ERROR',
      message: expect.stringMatching(/checksum|recorded/),
    })
    expect(await readFile(join(agents, 'fake/1.5.0/node_modules/fake-agent/bin/fake'), 'utf8')).toContain('fake 1.5.0')
  })

  it('holds the pinned version to the checksums that are shipped', async () => {
    const file = await makePackage('1.6.0')
    await installFile(file)
    const lock = join(dir, 'lock.json')
    const recorded = await readFile(join(agents, '.locks/fake/1.6.0.json'), 'utf8')
    const pinned = { ...source, version: `file:${file}` }
    const installPinned = async () =>
      await new Installation(agents).install({
        ...{ agentId: 'fake', source: pinned, version: pinned.version, lock, trial },
        progress: () => undefined,
      })
    await writeFile(lock, recorded)
    expect(await installPinned()).toBe('1.6.0')
    await writeFile(lock, recorded.replace(/sha512-..../, 'sha512-AAAA'))
    await expect(installPinned()).rejects.toMatchObject({ code: 'EXEC_ERROR' })
    await writeFile(lock, JSON.stringify({ ...JSON.parse(recorded), packages: {} }))
    await expect(installPinned()).rejects.toThrow('not among the recorded packages')
  })

  it.each([
    ['1.1.9', undefined, 'too old'],
    ['1.3.0', '#!/bin/sh\necho no such library >&2; exit 1\n', 'status 1. no such library'],
  ])('leaves all as it was when %s does not fit (%j)', async (version, script, why) => {
    await install('1.2.5')
    await expect(install(version, script)).rejects.toMatchObject({
      code: 'AGENT_NOT_READY',
      message: expect.stringContaining(why),
    })
    expect(new Installation(agents).version('fake', source)).toBe('1.2.5')
    expect((await readdir(agents)).toSorted()).toEqual(['.locks', 'bin', 'current', 'fake', 'generations'])
    expect(await versions()).toEqual(['1.2.5'])
  })

  it('takes over the links of an earlier version of the platform', async () => {
    await mkdir(join(agents, 'fake/1.2.9'), { recursive: true })
    await writeFile(join(agents, 'fake/1.2.9/fake'), '')
    await mkdir(join(agents, 'bin'))
    await symlink('../fake/1.2.9/fake', join(agents, 'bin/fake'))
    const installation = new Installation(agents)
    await installation.open()
    expect(installation.version('fake', source)).toBe('1.2.9')
  })
})
