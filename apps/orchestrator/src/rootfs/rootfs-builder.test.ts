import { cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StepList } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { mountPoints } from '../session/mounts.ts'
import { TestMachine } from '../session/test-machine.ts'
import type { Bootstrap } from './bootstrap.ts'

let machine: TestMachine
let versions: string

beforeEach(async () => {
  machine = await TestMachine.start()
  versions = join(machine.dir, 'rootfs.versions')
})
afterEach(async () => await machine[Symbol.asyncDispose]())

/** Builds as a command would: undoes its steps when it fails. */
async function build(abort = new AbortController()) {
  const steps = new StepList(abort.signal, () => undefined)
  try {
    return await machine.sessions.rootfs.build(steps)
  } catch (error) {
    machine.problems.push(...(await steps.undo()))
    throw error
  }
}

const marker = async (id: string) => (await machine.inside(id, 'cat /etc/marker')).out
const stateOfDisk = async () => ({
  versions: await readdir(versions).catch(() => []),
  mounts: mountPoints().filter((path) => path.startsWith(`${machine.run}/rootfs`)),
  info: await machine.sessions.rootfs.info(),
})

describe('a build', () => {
  it("is what containers wait on from then on, with a layer that becomes the session's", {
    timeout: 90_000,
  }, async () => {
    const steps = () => new StepList(new AbortController().signal, () => undefined)
    await machine.project('demo')
    await machine.projects.update({ projectId: 'demo', pool: 1 }, steps())
    await machine.sessions.warm('demo')
    machine.bootstrap = tiny('one')
    await build()
    await machine.sessions.warm('demo')
    const [waiting, ...others] = await machine.runc.list()
    expect(others).toEqual([])
    const { id } = await machine.create({ projectId: 'demo', name: 'first' })
    expect(await machine.pidOf(id)).toBe(waiting?.pid)
    expect((await machine.inside(id, 'cat /etc/marker; echo mine > /usr/local/x')).out).toBe('one')
    await machine.sessions.restart(id, {}, steps())
    expect((await machine.inside(id, 'cat /etc/marker /usr/local/x')).out).toBe('onemine')
    await machine.terminate(id)
    expect(await machine.leftovers(id)).toEqual([])
  })

  it('is what new sessions start from at once; one that runs keeps its own until it ends', {
    timeout: 90_000,
  }, async () => {
    await machine.project('demo')
    const skeleton = await machine.create({ projectId: 'demo', name: 'skeleton' })
    expect(await machine.sessions.rootfs.info()).toMatchObject({ kind: 'skeleton', inUseBy: [skeleton.id] })

    machine.bootstrap = tiny('one')
    const built = await build()
    expect(built).toMatchObject({ kind: 'built', builtAt: expect.any(String), inUseBy: [] })
    expect(built.path).toContain(versions)
    expect(built.bytes).toBeGreaterThan(1_000_000)
    const first = await machine.create({ projectId: 'demo', name: 'first' })
    expect(await marker(first.id)).toBe('one')
    expect(await marker(skeleton.id)).toContain('No such file')
    expect((await machine.sessions.rootfs.info()).inUseBy).toEqual([first.id])

    machine.bootstrap = tiny('two')
    await build()
    const second = await machine.create({ projectId: 'demo', name: 'second' })
    expect([await marker(first.id), await marker(second.id)]).toEqual(['one', 'two'])
    expect(await readdir(versions)).toHaveLength(2)
    expect(await machine.inside(first.id, 'echo mine > /usr/local/x; touch /usr/bin/y /opt/z')).toMatchObject({
      exitCode: 1,
      out: expect.stringMatching(/\/usr\/bin\/y[\s\S]*\/opt\/z/),
    })
    expect((await machine.inside(second.id, 'cat /usr/local/x')).out).toContain('No such file')
    await machine.inside(first.id, 'git commit -q --allow-empty -m home')
    await machine.sessions.bringHome(first.id)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/first')).toBe('home')

    await machine.sessions[Symbol.asyncDispose]()
    await (await machine.openSessions()).adopt()
    expect(await readdir(versions)).toHaveLength(2)
    await machine.terminate(first.id)
    expect(await readdir(versions)).toHaveLength(1)
    expect(await marker(second.id)).toBe('two')
    expect(mountPoints().filter((path) => path.includes('/root-'))).toHaveLength(1)
    expect((await stateOfDisk()).mounts).toHaveLength(1)
  })

  it('belongs to the root of containers, with no set-user-id program and nothing of this machine in it', async () => {
    machine.bootstrap = tiny('one')
    const { path } = await build()
    const foreign = await run('find', [path, '(', '-uid', '-1895825408', '-o', '-gid', '-1895825408', ')'])
    expect(foreign.stdout).toBe('')
    expect((await stat(join(path, 'etc/shadow'))).gid).toBe(1_895_825_408 + 42)
    expect((await stat(join(path, 'usr/bin/other-name'))).uid).toBe(1_895_825_408)
    expect((await run('find', [path, '-type', 'f', '-perm', '/6000'])).stdout).toBe('')
    expect(await readdir(join(path, 'dev'))).toEqual([])
    expect(await readFile(join(path, 'etc/hostname'), 'utf8')).toBe('session\n')
    expect(await readFile(join(path, 'etc/apt/sources.list.d/a.list'), 'utf8')).toBe(
      'deb https://deb.example.org/ x y\n',
    )
    expect(await readdir(join(path, 'etc/apt/apt.conf.d'))).toEqual([])
  })

  it('is found again after a restart, which removes what an interrupted one left', async () => {
    machine.bootstrap = tiny('one')
    const built = await build()
    await mkdir(join(versions, 'interrupted/etc'), { recursive: true })
    await machine.sessions[Symbol.asyncDispose]()
    const sessions = await machine.openSessions()
    await sessions.adopt()
    expect(await sessions.rootfs.info()).toEqual(built)
    expect(await readdir(versions)).toHaveLength(1)
  })
})

describe('a build that does not come to its end', () => {
  it('refuses a second one, and leaves all as it was when it is cancelled', async () => {
    machine.bootstrap = tiny('one')
    await build()
    const before = await stateOfDisk()
    const started = Promise.withResolvers<void>()
    machine.bootstrap = async (directory, { signal }) => {
      await mkdir(join(directory, 'usr'), { recursive: true })
      started.resolve()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    const abort = new AbortController()
    const running = build(abort)
    await started.promise
    await expect(build()).rejects.toMatchObject({ code: 'CONFLICT' })
    abort.abort(new Error('not wanted any more'))
    await expect(running).rejects.toThrow('not wanted any more')
    expect(machine.problems).toEqual([])
    expect(await stateOfDisk()).toEqual(before)
  })

  it.each([
    ['without a program that sessions need', 'usr/bin/rg'],
    ['without tini', 'usr/bin/tini'],
    ['without a directory that something is mounted on', 'sys'],
  ])('%s', async (_, missing) => {
    const before = await stateOfDisk()
    machine.bootstrap = async (directory, options) => {
      await tiny('one')(directory, options)
      await rm(join(directory, missing), { recursive: true })
    }
    await expect(build()).rejects.toMatchObject({ code: 'ISOLATION_UNAVAILABLE' })
    expect(machine.problems).toEqual([])
    expect(await stateOfDisk()).toEqual(before)
  })

  it('does not replace what someone else has put at ROOTFS_DIR', async () => {
    const rootfsDir = join(machine.dir, 'rootfs')
    await mkdir(rootfsDir)
    await expect(build()).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining(rootfsDir) })
    expect(await readdir(machine.dir)).not.toContain('rootfs.versions')
  })
})

/** A distribution of the few programs that a session needs, copied from this machine in a moment. */
function tiny(name: string): Bootstrap {
  return async (root) => {
    const names = ['bash', 'cat', 'find', 'git', 'id', 'mkdir', 'rm', 'sh', 'sleep', 'tar', 'tini', 'touch']
    const programs = names.map((program) => `/usr/bin/${program}`)
    const directories = [
      'dev',
      'etc/apt/sources.list.d',
      'etc/apt/apt.conf.d',
      'proc',
      'sys',
      'tmp',
      'usr/bin',
      'var/tmp',
    ]
    for (const directory of directories) await mkdir(join(root, directory), { recursive: true })
    for (const link of ['bin', 'lib', 'lib64']) await symlink(`usr/${link}`, join(root, link))
    for (const file of [...programs, ...(await librariesOf(programs))]) {
      // The loader is named by /lib64, which is a link into /usr.
      const target = join(root, file.replace(/^\/lib/, '/usr/lib'))
      await mkdir(dirname(target), { recursive: true })
      await cp(file, target, { dereference: true })
    }
    await writeFile(join(root, 'usr/bin/rg'), '#!/bin/sh\necho ripgrep\n', { mode: 0o4755 })
    await run('ln', [join(root, 'usr/bin/rg'), join(root, 'usr/bin/other-name')])
    await symlink('/proc/kcore', join(root, 'dev/null'))
    const files = {
      passwd: 'root:x:0:0:root:/root:/bin/bash\n',
      group: 'root:x:0:\n',
      hostname: 'a-secret-name\n',
      shadow: '',
      marker: name,
      'apt/sources.list.d/a.list': 'deb https://me:secret@deb.example.org/ x y\n',
      'apt/apt.conf.d/99mmdebstrap': 'Acquire::http::Proxy "http://me:secret@proxy.example.org";\n',
    }
    for (const [file, text] of Object.entries(files)) await writeFile(join(root, 'etc', file), text)
    await run('chown', ['0:42', join(root, 'etc/shadow')])
  }
}

async function librariesOf(programs: readonly string[]): Promise<string[]> {
  const { stdout } = await run('ldd', programs, { allowFailure: true })
  return [...new Set([...stdout.matchAll(/(\/lib\S+) \(0x/g)].flatMap(([, file]) => file ?? []))]
}
