import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { expect, test } from 'vitest'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

const run = promisify(execFile)

function connect(relay: RelayProcess) {
  return createClient({ url: relay.wsUrl, token: relay.token })
}

const ask = (aio: Client, commandId: string) => aio.commands.run.mutate({ commandId, command: 'slow', input: {} })

test('a relay killed with a hundred commands under way loses none and starts none twice (F-01, C-1, C-3, C-4)', async () => {
  await using relay = await startRelayProcess()
  const gate = Promise.withResolvers<void>()
  await using machine = new ScriptedOrchestrator(relay, {
    run: async ({ commandId }) => {
      await gate.promise
      return { marker: commandId }
    },
  })
  await machine.ready()
  const clients = Array.from({ length: 6 }, () => connect(relay))
  // Each client sends what it has in one frame, which holds 32 calls at most.
  const askBy = (n: number, id: string) => ask(clients[n] ?? connect(relay), id)
  const begun = Array.from({ length: 100 }, () => newCommandId())
  const answers = begun.map((id, n) => askBy(n % 4, id))
  await until(() => machine.started.size === 100)
  // And some more that are being accepted at the very moment it is killed: they are kept or they are not, nothing between.
  const racing = Array.from({ length: 50 }, () => newCommandId())
  const raced = racing.map((id, n) => askBy(4 + (n % 2), id))
  await sleep(2)
  await relay.kill()
  await relay.restart()
  gate.resolve()

  const ended = await Promise.all([...answers, ...raced])
  for (const [n, commandId] of [...begun, ...racing].entries()) {
    expect(ended[n]).toMatchObject({ commandId, state: 'succeeded', output: { marker: commandId } })
    expect(machine.started.get(commandId)).toBe(1)
  }
  await using fresh = connect(relay)
  const ledger = await fresh.commands.list.query({ limit: 1_000 })
  expect(ledger.map(({ commandId }) => commandId).sort()).toEqual([...begun, ...racing].sort())
  for (const command of ledger) expect(command.state).toBe('succeeded')
  for (const client of clients) await client.close()
})

test('a watcher goes on over a kill of the relay without a gap, a hole or a repeat (E-1, E-2)', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  const positions: string[] = []
  const kinds = new Set<string>()
  const watching = (async () => {
    for await (const event of aio.events()) {
      positions.push(event.position)
      kinds.add(event.type)
    }
  })()
  await until(async () => {
    await ask(aio, newCommandId())
    return positions.length > 0
  })
  for (let round = 0; round < 3; round += 1) {
    const asked = Array.from({ length: 20 }, () => ask(aio, newCommandId()))
    await sleep(3)
    await relay.kill()
    await relay.restart()
    await Promise.all(asked)
  }
  await sleep(500)
  const numbers = positions.map((position) => Number(position.split('.')[1]))
  expect(kinds).not.toContain('gap')
  expect(numbers).toEqual(Array.from(numbers, (_, n) => (numbers[0] ?? 0) + n))
  expect(new Set(positions.map((position) => position.split('.')[0])).size).toBe(1)
  await aio.close()
  await watching.catch(() => undefined)
}, 180_000) // whoever is cut off thrice in a row waits longer each time

test('a disk that takes no more stops accepting, says so, and all goes on when it takes again (F-17, F-18)', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  expect(await ask(aio, newCommandId())).toMatchObject({ state: 'succeeded' })
  const fileSize = (limit: string) => run('prlimit', ['--pid', String(relay.pid), `--fsize=${limit}:unlimited`])
  const health = async () => await fetch(relay.wsUrl.replace('ws:', 'http:').replace('/ws', '/health'))
  const started = machine.started.size

  await fileSize('1')
  const refused = newCommandId()
  await expect(ask(aio, refused)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /cannot write its database/ })
  const answer = await health()
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('cannot be written')])
  await expect(aio.commands.get.query({ commandId: refused })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(machine.started.size).toBe(started)
  // What is known can still be read.
  expect(await aio.projects.list.query()).toHaveLength(1)

  await fileSize('unlimited')
  await until(async () => (await health()).ok)
  expect(await ask(aio, refused)).toMatchObject({ state: 'succeeded' })
  expect(machine.started.get(refused)).toBe(1)
  await relay.kill()
  await relay.restart()
  await using later = connect(relay)
  expect(await later.commands.get.query({ commandId: refused })).toMatchObject({ state: 'succeeded' })
})
