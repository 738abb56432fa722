import { spawn } from 'node:child_process'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { bootstrapDebian } from './bootstrap.ts'

const path = process.env['PATH']
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'aio-bootstrap-'))
})
afterEach(async () => {
  process.env['PATH'] = path
  await rm(directory, { recursive: true })
})

/** Puts a program in the place of mmdebstrap. */
async function pretend(script: string): Promise<void> {
  await writeFile(join(directory, 'mmdebstrap'), `#!/bin/sh\n[ "$1" = --version ] && exit 0\n${script}\n`, {
    mode: 0o755,
  })
  process.env['PATH'] = `${directory}:${path}`
}

const bootstrap = async (signal = new AbortController().signal, progress = (_: unknown, message: string) => message) =>
  await bootstrapDebian(join(directory, 'root'), { signal, progress, packages: join(directory, 'packages') })

it('names the line that installs mmdebstrap when it is missing', async () => {
  process.env['PATH'] = directory
  await expect(bootstrap()).rejects.toMatchObject({
    code: 'EXEC_ERROR',
    message: expect.stringContaining('apt-get install -y mmdebstrap'),
  })
})

it('tells the errors of mmdebstrap and apt, without passwords', async () => {
  await pretend('echo "E: cannot fetch https://me:secret@deb.example.org/x" >&2; echo "I: chatter" >&2; exit 25')
  const failed = bootstrap()
  await expect(failed).rejects.toMatchObject({ code: 'EXEC_ERROR', message: expect.stringContaining('cannot fetch') })
  await expect(failed).rejects.not.toMatchObject({ message: expect.stringMatching(/secret|chatter/) })
})

it('hands on the settings of apt and leaves no file with them behind', async () => {
  await pretend(`for a; do case "$a" in --aptopt=*) cp "\${a#--aptopt=}" ${directory}/seen;; esac; done`)
  await bootstrap()
  expect(await readFile(join(directory, 'seen'), 'utf8')).toMatch(/^Acquire::/m)
  expect(await readdir(directory)).not.toContain('root.apt.conf')
})

it('ends everything of a build at once when it is cancelled', async () => {
  const marker = `98765.${process.pid}`
  await pretend(`trap '' TERM; sleep ${marker} & echo "I: running apt-get update..." >&2; wait`)
  const abort = new AbortController()
  const running = bootstrap(abort.signal, (_, message) => {
    abort.abort(new Error('not wanted any more'))
    return message
  })
  await expect(running).rejects.toThrow('not wanted any more')
  expect(await linesWith(marker)).toEqual([])
  await expect(access(join(directory, 'root.apt.conf'))).rejects.toThrow()
})

it('ends with the process that wanted it, however that ends', async () => {
  const marker = `98764.${process.pid}`
  await pretend(`trap '' TERM; sleep ${marker} & wait`)
  const code = `const { bootstrapDebian } = await import('${import.meta.dirname}/bootstrap.ts')
    await bootstrapDebian('${directory}/root', { signal: new AbortController().signal, progress: () => undefined, packages: '${directory}/packages' })`
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', code], { stdio: 'ignore' })
  await expect.poll(async () => await linesWith(`sleep\0${marker}`), { timeout: 20_000 }).toHaveLength(1)
  parent.kill('SIGKILL')
  await expect.poll(async () => await linesWith(`sleep\0${marker}`), { timeout: 20_000 }).toEqual([])
})

/** Command lines of running processes that hold a text. */
async function linesWith(text: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => line.includes(text))
}
