import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../process/run.ts'
import type { AgentPackage } from './agent-file.ts'
import { Installation } from './installation.ts'

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
  ...{ name: 'fake-agent', version: 'latest', minimumVersion: '1.2.0', program: 'fake' },
  binaries: ['node_modules/fake-agent-{arch}/fake', 'node_modules/fake-agent/bin/fake'],
}
const install = async (version: string, script?: string) =>
  new Installation(agents).install('fake', source, `file:${await makePackage(version, script)}`, vi.fn())

describe('installing an agent', () => {
  it('puts it in place with a relative link, readable by all, without running its scripts', async () => {
    const installation = new Installation(agents)
    expect(installation.version('fake', source)).toBeUndefined()
    expect(await install('1.10.0')).toBe('1.10.0')
    expect(installation.version('fake', source)).toBe('1.10.0')
    expect(await readlink(join(agents, 'bin/fake'))).toBe('../fake/1.10.0/node_modules/fake-agent/bin/fake')
    expect((await stat(join(agents, 'bin/fake'))).mode & 0o555).toBe(0o555)
    await expect(stat(join(dir, 'postinstall-ran'))).rejects.toThrow('ENOENT')
  })

  it('switches to a new version, keeps the one before, and can repair the same one', async () => {
    await install('1.3.0')
    await install('1.4.0')
    await install('1.5.0')
    await install('1.5.0', '#!/bin/sh\necho "repaired 1.5.0"\n')
    expect((await readdir(join(agents, 'fake'))).toSorted()).toEqual(['1.4.0', '1.5.0'])
    expect(await readFile(join(agents, 'bin/fake'), 'utf8')).toContain('repaired')
  })

  it.each([
    ['1.1.9', undefined, 'too old'],
    ['1.3.0', '#!/bin/sh\nexit 1\n', 'status 1'],
    ['1.3.0', '#!/bin/sh\necho hello\n', 'version'],
  ])('leaves all as it was when %s does not fit (%j)', async (version, script, why) => {
    await install('1.2.5')
    await expect(install(version, script)).rejects.toMatchObject({
      code: 'AGENT_NOT_READY',
      message: expect.stringContaining(why),
    })
    expect(new Installation(agents).version('fake', source)).toBe('1.2.5')
    expect((await readdir(agents)).toSorted()).toEqual(['bin', 'fake'])
    expect((await lstat(join(agents, 'bin/fake'))).isSymbolicLink()).toBe(true)
  })
})
