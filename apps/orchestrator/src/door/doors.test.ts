import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../process/run.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'
import { Questions } from '../question/questions.ts'
import { Rules } from '../question/rules.ts'
import { Doors } from './doors.ts'
import { DOOR_URL } from './environment.ts'
import { Prices } from './prices.ts'
import { UsageBook } from './usage-book.ts'

const log = pino({ level: 'silent' })
let room: PipedChild
let pid: number

// A process with a network of its own is all that a door needs of a session.
beforeAll(async () => {
  room = spawnPiped('unshare', ['-n', 'sh', '-c', 'ip link set lo up && echo ready && exec sleep 600'])
  await new Promise((resolve) => room.stdout.once('data', resolve))
  pid = room.process.pid ?? 0
})
afterAll(() => room.process.kill('SIGKILL'))

/** An API that only says that it was asked, and by whom. */
async function startApi() {
  const calls: IncomingHttpHeaders[] = []
  const server = createServer(({ headers }, response) => {
    calls.push(headers)
    response.end('hello')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const stop = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${address.port}`, calls, [Symbol.asyncDispose]: stop }
}

const open: Doors[] = []
afterEach(async () => {
  for (const doors of open.splice(0)) await doors[Symbol.asyncDispose]()
})

const plan = { agent: 'claude', gateway: 'anthropic', logFile: '/dev/null' } as const
const rules = await Rules.open({ projects: { list: () => [], paths: () => ({ dir: '/' }) }, log })

function newDoors(upstream: string): Doors {
  const questions = new Questions({
    journal: { keepQuestion: async () => undefined },
    ...{ rules, log, orchestratorId: '01J00000000000000000000000', kept: [] },
  })
  const doors = new Doors({
    config: {
      gateway: { apiKey: 'real-key', oauthToken: undefined, upstream },
      relayUrl: 'ws://127.0.0.1:3000/ws',
      egressAllowAddresses: [],
    },
    log,
    projects: { get: () => undefined },
    agents: { hostsOf: () => [] },
    ...{ questions, rules },
    usage: new UsageBook({ prices: new Prices([]), tell: () => undefined }),
    admit: async () => ({ isAllowed: true }),
  })
  open.push(doors)
  return doors
}

const CALL = `
fetch('${DOOR_URL}/v1/messages', { method: 'POST', headers: { 'x-api-key': 'placeholder' }, body: '{}' })
  .then(async (response) => console.log(response.status, await response.text()))
  .catch((error) => console.log('failed', error.cause?.code))
`
const callFrom = async (target: number) =>
  (await run('nsenter', [`--net=/proc/${target}/ns/net`, '--', process.execPath, '-e', CALL], { timeoutMs: 20_000 }))
    .stdout

describe('Doors', () => {
  it('leads from a network without any interface to the model API, with the real key, and nowhere on this machine', async () => {
    await using stub = await startApi()
    const doors = newDoors(stub.url)
    expect(await callFrom(pid)).toContain('failed')
    await doors.attach('p_s', pid, plan)
    expect(doors.has('p_s')).toBe(true)
    expect(await callFrom(pid)).toBe('200 hello\n')
    expect(stub.calls).toMatchObject([{ 'x-api-key': 'real-key' }])
    expect(await callFrom(process.pid)).toContain('failed')
    await doors.detach('p_s')
    expect(await callFrom(pid)).toContain('failed')
  })

  it('is attached again, by the same or by another orchestrator', async () => {
    await using stub = await startApi()
    const doors = newDoors(stub.url)
    await doors.attach('p_s', pid, plan)
    await doors.attach('p_s', pid, plan)
    expect(await callFrom(pid)).toMatch(/^200 /)
    await expect(newDoors(stub.url).attach('p_s', pid, plan)).rejects.toMatchObject({
      code: 'ISOLATION_UNAVAILABLE',
      message: expect.stringContaining('EADDRINUSE'),
    })
    await doors[Symbol.asyncDispose]()
    await newDoors(stub.url).attach('p_s', pid, plan)
    expect(await callFrom(pid)).toMatch(/^200 /)
  })

  it('refuses the network of this machine and a process that is gone', async () => {
    const doors = newDoors('http://127.0.0.1:1')
    for (const wrong of [process.pid, 0, -1, 2 ** 22 + 1]) {
      const attaching = doors.attach('p_s', wrong, plan)
      await expect(attaching).rejects.toMatchObject({ code: 'ISOLATION_UNAVAILABLE' })
    }
    expect(doors.has('p_s')).toBe(false)
  })

  it('leaves no process behind', async () => {
    const doors = newDoors('http://127.0.0.1:1')
    await doors.attach('p_s', pid, plan)
    await sleep(200)
    const { stdout } = await run('ps', ['--ppid', String(process.pid), '-o', 'args='], { allowFailure: true })
    expect(stdout).not.toContain('listen-inside')
  })
})
