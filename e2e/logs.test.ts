import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type OrchestratorProcess, orchestratorFor } from './harness/orchestrator-process.ts'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'

const secret = (name: string) => `${name}-${randomBytes(12).toString('hex')}`
const secrets = {
  apiKey: secret('sk-ant'),
  oauth: secret('oauth'),
  prompt: secret('prompt'),
  repoPassword: secret('password'),
  input: secret('input'),
  keys: secret('keys'),
  stdin: secret('stdin'),
}

let relay: RelayProcess
let orchestrator: OrchestratorProcess
let aio: Client

beforeAll(async () => {
  relay = await startRelayProcess({ env: { LOG_LEVEL: 'trace' } })
  orchestrator = await orchestratorFor(relay, {
    env: { LOG_LEVEL: 'trace', ANTHROPIC_API_KEY: secrets.apiKey, CLAUDE_CODE_OAUTH_TOKEN: secrets.oauth },
  })
  await mkdir(orchestrator.aioHome)
  await writeFile(
    join(orchestrator.aioHome, 'commands.toml'),
    `[commands.trace]
run = ["sh", "-c", "echo \\"$AIO_COMMAND_ID\\" >\\"$1\\"; echo said-by-the-script >&2; echo 1", "sh", "{file}"]
[commands.fails]
run = ["sh", "-c", "exit 3", "sh", "{text}"]
`,
  )
  orchestrator.start()
  aio = createClient({ url: relay.wsUrl, token: relay.token })
  await until(async () => (await aio.orchestrators.list.query()).length === 1, 60_000, orchestrator.output)
})
afterAll(async () => {
  await aio?.close()
  await orchestrator?.[Symbol.asyncDispose]()
  await relay?.[Symbol.asyncDispose]()
})

/** Lines of a log that carry this id, by what they say. */
const linesOf = (log: string, id: string) =>
  log.split('\n').flatMap((line) => (line.includes(id) ? [(JSON.parse(line) as { msg: string }).msg] : []))

it('one id leads from the client over both logs and the audit to the script', async () => {
  const commandId = newCommandId()
  const file = join(orchestrator.home, 'traced')
  await aio.commands.run.mutate({ commandId, command: 'trace', input: { file } })
  expect(await readFile(file, 'utf8')).toBe(`${commandId}\n`)
  expect(linesOf(orchestrator.output(), commandId)).toEqual([
    'a command came in',
    'said-by-the-script',
    'a command ended',
  ])
  await until(() => linesOf(relay.output(), commandId).length > 0)
  expect(linesOf(relay.output(), commandId)).toEqual(['state-changing call'])
  const [record] = await aio.audit.list.query({ limit: 1 })
  expect(record).toMatchObject({ requestId: commandId, call: 'commands.run', outcome: 'ok' })
})

it('a caller of HTTP may name the id; a command that is not given one takes it', async () => {
  const requestId = newCommandId()
  const file = join(orchestrator.home, 'named')
  const post = async (path: string, input: unknown, id: string) =>
    await fetch(`${relay.wsUrl.replace('ws:', 'http:').replace('/ws', '')}/trpc/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${relay.token}`,
        'content-type': 'application/json',
        'x-request-id': id,
      },
      body: JSON.stringify(input),
    })
  await post('commands.run', { commandId: requestId, command: 'trace', input: { file } }, newCommandId())
  expect(await readFile(file, 'utf8')).toBe(`${requestId}\n`)
  const created = newCommandId()
  expect((await post('projects.create', { name: 'named' }, created)).status).toBe(200)
  expect(await aio.commands.get.query({ commandId: created })).toMatchObject({ command: 'create_project' })
  // The same request again is the same command again.
  expect((await post('projects.create', { name: 'named' }, created)).status).toBe(200)
  // What is not of the one form is not taken over, so nobody writes what they like into our logs.
  const odd = 'x'.repeat(40)
  expect((await post('projects.create', { name: 'named' }, odd)).status).toBe(409)
  expect(relay.output() + orchestrator.output()).not.toContain(odd)
})

it('no secret is in a log, whatever is called and however it ends, with everything logged', async () => {
  const token = await aio.tokens.create.mutate({ role: 'operator', name: 'someone' })
  const code = await aio.auth.createCode.mutate()
  const wrong = secret('aio_operator_000000000000')
  await using stranger = createClient({ url: relay.wsUrl, token: wrong })
  await expect(stranger.projects.list.query()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  await using fresh = createClient({ url: relay.wsUrl })
  const device = await fresh.auth.exchange.mutate({ code: code.code })
  await using other = createClient({ url: relay.wsUrl, token: device.token })
  const repoUrl = `https://someone:${secrets.repoPassword}@127.0.0.1:9/nowhere.git`
  await expect(other.projects.create.mutate({ name: 'cloned', repoUrl })).rejects.toThrow()
  await other.commands.run.mutate({ commandId: newCommandId(), command: 'fails', input: { text: secrets.input } })
  if ((await other.projects.list.query()).every(({ id }) => id !== 'demo'))
    await other.projects.create.mutate({ name: 'demo' })
  const one = { projectId: 'demo', name: 'one', agent: 'shell' }
  await expect(other.sessions.create.mutate({ ...one, prompt: secrets.prompt })).rejects.toThrow('takes no prompt')
  await other.sessions.create.mutate(one)
  const terminal = await other.terminal('demo_one', { size: { cols: 80, rows: 24 } })
  await terminal.write(`: ${secrets.keys}\r`)
  await until(async () => JSON.stringify((await terminal.next()).value).includes(secrets.keys))
  await terminal.close()
  const exec = other.exec('demo_one', ['cat'], { stdin: true })
  await exec.write(secrets.stdin)
  await exec.end()
  expect(await exec.exit).toBe(0)
  await expect(other.sessions.get.query({ sessionId: 'demo_no' })).rejects.toThrow()
  await other.sessions.terminate.mutate({ sessionId: 'demo_one', force: true })
  await aio.tokens.revoke.mutate({ tokenId: token.info.id })
  expect(await orchestrator.stop()).toBe(0)
  expect(await relay.stop()).toBe(0)

  const logs = relay.output() + orchestrator.output()
  expect(logs.split('\n').length).toBeGreaterThan(20)
  const all = { ...secrets, root: relay.token, token: token.token, code: code.code, device: device.token, wrong }
  for (const [name, value] of Object.entries(all)) {
    expect([name, logs.includes(value)]).toEqual([name, false])
    expect([name, logs.includes(Buffer.from(value).toString('base64').slice(0, 24))]).toEqual([name, false])
  }
  // Every line can be read by a machine.
  for (const line of logs.split('\n').filter(Boolean)) expect(() => JSON.parse(line) as unknown).not.toThrow()
})
