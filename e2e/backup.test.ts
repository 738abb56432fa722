import { mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AioEvent, createClient, newCommandId } from '@ai-orchestration/sdk'
import { expect, test } from 'vitest'
import { exec, until } from './harness/platform.ts'
import { startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

const aio = join(import.meta.dirname, '../apps/cli/bin/aio.js')

test('a copy made while the relay runs can be restored: what it knew is known, what ended since is asked for, nobody resumes over the hole', async () => {
  await using relay = await startRelayProcess()
  const gate = Promise.withResolvers<number>()
  await using machine = new ScriptedOrchestrator(relay, { run: ({ input }) => (input === 'wait' ? gate.promise : 1) })
  await machine.ready()
  await using client = createClient({ url: relay.wsUrl, token: relay.token, connectTimeoutMs: 60_000 })
  const run = (commandId: string, input: unknown = {}) =>
    client.commands.run.mutate({ commandId, command: 'slow', input })
  const events: AioEvent[] = []
  void (async () => {
    for await (const event of client.events()) events.push(event)
  })()
  const [before, open, after] = [newCommandId(), newCommandId(), newCommandId()]
  await until(async () => {
    await run(newCommandId())
    return events.length > 0
  })
  await run(before)
  const answer = run(open, 'wait')
  await until(() => machine.started.has(open))

  const home = await mkdtemp(join(tmpdir(), 'aio-backup-'))
  const file = join(home, 'relay.db')
  const backUp = () => exec(process.execPath, [aio, 'backup', file], { ...processEnv(), AIO_HOME: relay.aioHome })
  expect(await backUp()).toContain(file)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  await expect(backUp()).rejects.toThrow('is there already')
  gate.resolve(2)
  expect(await answer).toMatchObject({ state: 'succeeded', output: 2 })
  await run(after)

  // As docs/operations.md says it.
  await relay.stop()
  const database = join(relay.aioHome, 'relay/relay.db')
  for (const name of [database, `${database}-wal`, `${database}-shm`]) await rm(name, { force: true })
  await rename(file, database)
  await relay.restart()
  await until(async () => (await client.commands.get.query({ commandId: open })).state === 'succeeded')
  expect(await client.commands.get.query({ commandId: before })).toMatchObject({ state: 'succeeded' })
  expect(await run(open, 'wait')).toMatchObject({ output: 2 })
  expect(machine.started.get(open)).toBe(1)
  await expect(client.commands.get.query({ commandId: after })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await until(() => events.some((event) => event.type === 'gap' && event.reason === 'epoch'))
  await rm(home, { recursive: true })
})

function processEnv(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
}
