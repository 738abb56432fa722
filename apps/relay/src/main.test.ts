import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { closeOf } from './test-support/test-relay.ts'

let home: string
const children: ChildProcess[] = []
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aio-relay-main-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(home, { recursive: true, force: true })
})

function start(environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env: { PATH: process.env['PATH'] ?? '', AIO_HOME: home, PORT: '0', LOG_LEVEL: 'silent', ...environment },
    stdio: 'pipe',
  })
  children.push(child)
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const exited = once(child, 'exit').then(([code]) => ({ code, stderr }))
  const ready = new Promise<{ url: string; pid: number }>((resolve, reject) => {
    child.stdout.once('data', (chunk) => resolve(JSON.parse(String(chunk))))
    exited.then(({ stderr: text }) => reject(new Error(text)))
  })
  ready.catch(() => undefined)
  return { child, ready, exited }
}

const modeOf = async (name: string) => (await stat(join(home, name))).mode & 0o777

describe('starting', () => {
  test('makes a private token once, says where it is, and forgets that at its end', async () => {
    const first = start()
    const { url, pid } = await first.ready
    expect(JSON.parse(await readFile(join(home, 'relay.json'), 'utf8'))).toEqual({ url, pid, version: '0.1.0' })
    expect([await modeOf('token'), await modeOf('relay.json')]).toEqual([0o600, 0o600])
    const token = await readFile(join(home, 'token'), 'utf8')
    expect(token.trim().length).toBeGreaterThanOrEqual(32)
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'ok', orchestrators: 0, clients: 0 })
    first.child.kill('SIGTERM')
    expect((await first.exited).code).toBe(0)
    await expect(stat(join(home, 'relay.json'))).rejects.toThrow()
    await start().ready
    expect(await readFile(join(home, 'token'), 'utf8')).toBe(token)
  })

  test('beyond loopback is refused without a token, and not with one from an earlier start (A-6)', async () => {
    const refused = await start({ HOST: '0.0.0.0' }).exited
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/AUTH_TOKEN.*HOST=127\.0\.0\.1/s) })
    await writeFile(join(home, 'token'), 'x'.repeat(32))
    await start({ HOST: '0.0.0.0' }).ready
  })

  test.each([
    [{ AUTH_TOKEN: 'short' }, /32 characters/],
    [{ PORT: 'abc' }, /PORT/],
    [{ PORT: '70000' }, /PORT/],
    [{ ALLOWED_ORIGINS: 'https://a.example.org/path' }, /ALLOWED_ORIGINS/],
    [{ LOG_LEVEL: 'loud' }, /LOG_LEVEL/],
    [{ HOST: '203.0.113.7', AUTH_TOKEN: 'x'.repeat(32) }, /HOST/],
  ])('with %j is refused in one clear line', async (environment, message) => {
    const { code, stderr } = await start(environment).exited
    expect(code).not.toBe(0)
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stderr).not.toContain('short')
  })

  test('a second relay of the same home, or on the same port, is told so', async () => {
    const { url } = await start().ready
    expect((await start().exited).stderr).toContain(`already running at ${url}`)
    const other = await mkdtemp(join(tmpdir(), 'aio-relay-main-'))
    const taken = await start({ AIO_HOME: other, PORT: new URL(url).port }).exited
    expect(taken.stderr).toMatch(/Port \d+ .* is taken.*PORT=/)
    await rm(other, { recursive: true })
  })

  test('goes on after one that was killed', async () => {
    const first = start()
    await first.ready
    first.child.kill('SIGKILL')
    await first.exited
    await start().ready
  })

  test('a damaged token file is never read as empty', async () => {
    const first = start()
    await first.ready
    first.child.kill('SIGTERM')
    await first.exited
    await start().ready.then(({ pid }) => process.kill(pid, 'SIGKILL'))
    await mkdir(join(home, 'relay'), { recursive: true })
    await writeFile(join(home, 'relay/tokens.json'), '{"version":1,"tok')
    expect((await start().exited).stderr).toMatch(/tokens\.json is damaged/)
  })
})

describe('stopping', () => {
  test('tells clients to come back, in time, also those that do not answer', async () => {
    const { ready, child, exited } = start({ AUTH_TOKEN: 'x'.repeat(32) })
    const { url } = await ready
    const open = async () => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, {
        headers: { authorization: `Bearer ${'x'.repeat(32)}` },
      })
      await once(socket, 'open')
      return socket
    }
    const good = await open()
    const deaf = await open()
    deaf.pause()
    const closed = closeOf(good)
    child.kill('SIGTERM')
    expect(await closed).toMatchObject({ code: 1012 })
    expect((await exited).code).toBe(0)
    deaf.terminate()
  })

  test('a supervised relay ends with its parent', async () => {
    const { ready, child, exited } = start({ AIO_SUPERVISED: '1' })
    await ready
    child.stdin?.end()
    expect((await exited).code).toBe(0)
  })
})
