import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { expect, test } from 'vitest'
import { orchestratorFor } from './harness/orchestrator-process.ts'
import { exec, until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

const connect = (relay: RelayProcess) =>
  createClient({ url: relay.wsUrl, token: relay.token, connectTimeoutMs: 60_000 })
const ask = (aio: Client, commandId: string) => aio.commands.run.mutate({ commandId, command: 'slow', input: {} })
const httpOf = (relay: RelayProcess) => relay.wsUrl.replace('ws:', 'http:').replace('/ws', '')
const health = async (relay: RelayProcess) => await fetch(`${httpOf(relay)}/health`)

/** How an upgrade is refused, as plain HTTP. */
async function refusal(relay: RelayProcess): Promise<{ status: number | undefined; retryAfter: string | undefined }> {
  const asked = request(`${httpOf(relay)}/ws`, {
    headers: {
      connection: 'upgrade',
      upgrade: 'websocket',
      authorization: `Bearer ${relay.token}`,
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    },
  })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.resume()
  return { status: answer.statusCode, retryAfter: answer.headers['retry-after'] }
}

/** A small disk of its own; what fills it is a file named `ballast`. */
async function smallDisk(megabytes: number) {
  const path = await mkdtemp(join(tmpdir(), 'aio-small-disk-'))
  await exec('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
  const ballast = join(path, 'ballast')
  return {
    path,
    fill: async () => {
      await writeFile(ballast, Buffer.alloc(2 * megabytes * 1024 * 1024)).catch(() => undefined)
    },
    free: async () => await rm(ballast),
    [Symbol.asyncDispose]: async () => {
      await exec('umount', ['-l', path])
      await rm(path, { recursive: true, force: true })
    },
  }
}

test('with few files to open it refuses new sockets before it harms those it has, and takes them again (F-26, S-5)', async () => {
  await using relay = await startRelayProcess({ through: ['prlimit', '--nofile=256:256'] })
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  await ask(aio, newCommandId())
  const opened: WebSocket[] = []
  let refused = 0
  const open = async () =>
    await new Promise<void>((resolve) => {
      const socket = new WebSocket(relay.wsUrl, { headers: { authorization: `Bearer ${relay.token}` } } as never)
      socket.addEventListener('open', () => {
        opened.push(socket)
        resolve()
      })
      socket.addEventListener('error', () => {
        refused += 1
        resolve()
      })
    })
  for (let round = 0; round < 20; round += 1) await Promise.all(Array.from({ length: 20 }, open))
  expect(opened.length).toBeGreaterThan(100)
  expect(refused).toBeGreaterThan(100)
  expect(await refusal(relay)).toEqual({ status: 503, retryAfter: '2' })
  // Those who were there are served, also from the disk, and the health can be asked for.
  for (let n = 0; n < 5; n += 1) expect(await ask(aio, newCommandId())).toMatchObject({ state: 'succeeded' })
  expect((await health(relay)).status).toBe(200)
  const metrics = await fetch(`${httpOf(relay)}/metrics`, { headers: { authorization: `Bearer ${relay.token}` } })
  expect(Number(/^aio_sockets_refused_total (\d+)$/m.exec(await metrics.text())?.[1])).toBeGreaterThan(100)
  for (const socket of opened.splice(0)) socket.close()
  await until(async () => {
    await open()
    return opened.length > 0
  })
  for (const socket of opened) socket.close()
  expect(await relay.stop()).toBe(0)
})

test('with its disk full it takes no command, writes how those under way end, and goes on when there is room (F-17, D-5)', async () => {
  await using disk = await smallDisk(40)
  const gate = Promise.withResolvers<number>()
  await using relay = await startRelayProcess({ aioHome: disk.path })
  let blocks = true
  await using machine = new ScriptedOrchestrator(relay, { run: () => (blocks ? gate.promise : 2) })
  await machine.ready()
  await using aio = connect(relay)
  const running = newCommandId()
  const answer = ask(aio, running)
  await until(() => machine.started.size === 1)
  blocks = false
  await disk.fill()
  // Whatever room its log still has is used up.
  const refusals: unknown[] = []
  await until(async () => {
    await aio.commands.run
      .mutate({ commandId: newCommandId(), command: 'slow', input: { ballast: 'x'.repeat(100_000) } })
      .catch((error: unknown) => refusals.push(error))
    return refusals.length > 0
  })
  expect(refusals[0]).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('nothing was started') })
  const sick = await health(relay)
  expect([sick.status, sick.headers.get('retry-after')]).toEqual([503, '2'])
  const refused = newCommandId()
  const before = machine.started.size
  await expect(ask(aio, refused)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  gate.resolve(1)
  expect(await answer).toMatchObject({ commandId: running, state: 'succeeded', output: 1 })
  // That end is on the full disk: it is still known after a crash.
  await relay.kill()
  await relay.restart()
  expect((await health(relay)).status).toBe(503)
  await until(async () => (await aio.commands.get.query({ commandId: running })).state === 'succeeded')
  expect(machine.started.size).toBe(before)

  await disk.free()
  await until(async () => (await health(relay)).ok)
  expect((await stat(join(disk.path, 'relay/relay.db.reserve'))).size).toBe(8 * 1024 * 1024)
  expect(await ask(aio, refused)).toMatchObject({ state: 'succeeded', output: 2 })
  expect(machine.started.get(refused)).toBe(1)
})

test('an orchestrator whose disk is full rejects commands unstarted, and runs them again when there is room (F-17, F-18)', async () => {
  await using disk = await smallDisk(40)
  await using relay = await startRelayProcess()
  const home = join(disk.path, 'aio')
  const marks = await mkdtemp(join(tmpdir(), 'aio-marks-'))
  await mkdir(home)
  await writeFile(
    join(home, 'commands.toml'),
    '[commands.slow]\nrun = ["sh", "-c", "echo x >>\\"$1\\"; while [ -e \\"$1.hold\\" ]; do sleep 0.1; done; echo 1", "sh", "{file}"]\n',
  )
  await using orchestrator = await orchestratorFor(relay, { env: { AIO_HOME: home } })
  orchestrator.start()
  await using aio = connect(relay)
  const run = (file: string, ballast = '') =>
    aio.commands.run.mutate({
      commandId: newCommandId(),
      command: 'slow',
      input: { file: join(marks, file), ballast },
    })
  const runs = async (file: string) => (await readFile(join(marks, file), 'utf8').catch(() => '')).length / 2
  await until(
    async () => (await aio.orchestrators.list.query()).some(({ state }) => state === 'online'),
    60_000,
    orchestrator.output,
  )
  await writeFile(join(marks, 'held.hold'), '')
  const held = run('held')
  await until(async () => (await runs('held')) === 1)
  await disk.fill()
  let rejected: Awaited<typeof held> | undefined
  let tries = 0
  await until(async () => {
    tries += 1
    const ended = await run(`try-${tries}`, 'x'.repeat(1_000))
    if (ended.state === 'rejected') rejected = ended
    return rejected !== undefined
  })
  expect(rejected?.error).toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('nothing was started'),
  })
  expect(await runs(`try-${tries}`)).toBe(0)
  // The end of what ran goes into the reserve, and is told.
  await rm(join(marks, 'held.hold'))
  expect(await held).toMatchObject({ state: 'succeeded' })
  expect(await run('later')).toMatchObject({ state: 'rejected' })
  expect(await runs('later')).toBe(0)
  await disk.free()
  await until(async () => (await run('again')).state === 'succeeded')
  expect(await runs('again')).toBe(1)
  await rm(marks, { recursive: true })
})
