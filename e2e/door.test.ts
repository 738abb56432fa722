import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { EgressRecord, Question, Rule, Session } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort, type Platform, startPlatform, until } from './harness/platform.ts'
import { type ModelApiStub, startModelApiStub } from './model-api-stub.ts'

const PROXY = 'http://127.0.0.1:3128'

let aioHome: string
let platform: Platform
let stub: ModelApiStub
let upstream: Server
/** Where the upstream is that an admin has excepted, and where the same machine is that nobody has. */
let excepted: string
let forbidden: string
const bodies: string[] = []

beforeAll(async () => {
  const [allowedPort, otherPort] = [await freePort(), await freePort()]
  upstream = createServer(async (request, response) => {
    bodies.push(await text(request))
    response.end(`hello ${request.url}\n`)
  })
  await new Promise<void>((resolve) => upstream.listen(allowedPort, '127.0.0.1', () => resolve()))
  excepted = `127.0.0.1:${allowedPort}`
  forbidden = `127.0.0.1:${otherPort}`
  stub = await startModelApiStub({ key: 'the-real-key' })
  aioHome = await mkdtemp(join(tmpdir(), 'aio-door-'))
  const agent = { name: 'Probe', argv: ['sleep', 'infinity'], gateway: 'anthropic' }
  const lines = Object.entries(agent).map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
  await writeFile(join(aioHome, 'agents.toml'), `[probe]\n${lines.join('\n')}\n`)
  platform = await startPlatform({
    AIO_HOME: aioHome,
    ANTHROPIC_API_KEY: 'the-real-key',
    ANTHROPIC_BASE_URL: stub.url,
    EGRESS_ALLOW_ADDRESSES: excepted,
  })
  await platform.json('projects', 'create', 'shop')
})
afterAll(async () => {
  await platform?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
  upstream?.close()
  await rm(aioHome, { recursive: true, force: true })
})

async function newSession(name: string, agent = 'shell'): Promise<string> {
  const { id } = await platform.json<Session>('sessions', 'create', 'shop', name, '--agent', agent)
  // The door of an agent without a model is opened while the session already runs.
  await until(async () => (await inside(id, `curl -s -o /dev/null ${PROXY} && echo open`)).includes('open'), 20_000)
  return id
}

const inside = async (session: string, script: string, timeoutMs = 60_000) => {
  const { stdout, stderr } = await platform.aio(['sessions', 'exec', session, '--', 'bash', '-c', script], {
    timeoutMs,
  })
  return stdout + stderr
}
/** A request through the door, whatever the address. */
const curl = (rest: string) => `curl -sS -m 30 --noproxy '' -x ${PROXY} ${rest}`
/** Kills services without a word and waits until all are back. */
async function killed(...services: ('relay' | 'orchestrator')[]): Promise<void> {
  const before = await Promise.all(services.map((service) => platform.pidOf(service)))
  for (const pid of before) process.kill(pid, 'SIGKILL')
  const isAnother = async (service: 'relay' | 'orchestrator') => {
    const pid = await platform.pidOf(service).catch(() => undefined)
    return pid !== undefined && !before.includes(pid)
  }
  await until(async () => (await Promise.all(services.map(isAnother))).every(Boolean), 60_000)
  await until(async () => (await platform.health())?.orchestrators === 1, 60_000)
}
const pending = async () => await platform.json<Question[]>('inbox')
const asked = async () => {
  await until(async () => (await pending()).length === 1, 20_000)
  const [question] = await pending()
  if (question === undefined) throw new Error('no question')
  return question
}

describe('from inside a session', () => {
  it('nothing is reached past the door, and nothing but what is allowed through it (I-10)', async () => {
    const id = await newSession('probes')
    const lan = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4')?.address
    const targets = [
      ...[
        'http://169.254.169.254/latest/meta-data',
        'http://[fd00:ec2::254]/',
        'http://[fe80::1]/',
        'http://10.0.0.1/',
      ],
      ...[
        'http://172.17.0.1/',
        'http://192.168.0.1/',
        'http://100.64.0.1/',
        'http://1.1.1.1/',
        'http://[2606:4700::1111]/',
      ],
      ...[
        platform.httpUrl,
        `http://${forbidden}/`,
        'http://localhost/',
        'http://[::1]/',
        'http://0.0.0.0/',
        'http://0/',
      ],
      ...['https://1.1.1.1/dns-query', 'http://metadata.internal/', `http://[::ffff:127.0.0.1]:${platform.port}/`],
      ...(lan === undefined ? [] : [`http://${lan}:${platform.port}/`]),
    ]
    const directly = targets.map((url) => `curl -s -m 5 --noproxy '*' -o /dev/null '${url}'; echo direct $?`)
    const proxied = targets.map(
      (url) => `${curl(`-o /dev/null -w 'status %{http_code} %{http_connect}\\n' '${url}'`)} 2>/dev/null`,
    )
    const others = [
      'env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy -u all_proxy curl -s -m 5 http://host.example/; echo direct $?',
      '(echo x >/dev/udp/1.1.1.1/53) 2>/dev/null; echo direct $?',
      '(echo x >/dev/udp/1.1.1.1/443) 2>/dev/null; echo direct $?',
      '(echo x >/dev/tcp/1.1.1.1/53) 2>/dev/null; echo direct $?',
      'getent hosts host.example; echo direct $?',
      `curl -s -m 5 --noproxy '' -x ${PROXY} -X TRACE http://host.example/ -o /dev/null -w 'status %{http_code}\\n'`,
      'ls /sys/class/net | tr "\\n" " "',
    ]
    const out = await inside(id, [...directly, ...proxied, ...others].join('\n'), 120_000)
    const directs = [...out.matchAll(/^direct (\d+)$/gm)].map(([, code]) => Number(code))
    expect(directs).toHaveLength(targets.length + 5)
    expect(directs).not.toContain(0)
    const statuses = [...out.matchAll(/^status (\d+)/gm)].map(([line]) => line)
    expect(statuses).toHaveLength(targets.length + 1)
    for (const line of statuses) expect(line).toMatch(/^status (?:000|400|403)/)
    expect(out).toContain('lo ')
    expect(out).not.toContain('eth0')
    expect(bodies).toEqual([])
    const log = await platform.json<EgressRecord[]>('egress', id)
    expect(log.length).toBeGreaterThanOrEqual(targets.length)
    expect(log.every(({ verdict }) => verdict === 'denied')).toBe(true)
    expect(log).toContainEqual(expect.objectContaining({ host: '169.254.169.254', port: 80 }))
  })

  it('a held request goes on when a person answers, while curl waits; the rule is seen and revoked', async () => {
    const id = await newSession('held')
    const waiting = inside(id, curl(`http://${excepted}/held`))
    const question = await asked()
    expect(question).toMatchObject({ sessionId: id, kind: 'egress', detail: { host: '127.0.0.1' }, state: 'pending' })
    const shown = await platform.aio(['inbox'])
    expect(shown.stdout).toContain(`May ${id} reach ${excepted}?`)
    const approved = await platform.aio(['approve', question.id.slice(-6), '--always', 'session'])
    expect(approved).toMatchObject({ code: 0, stdout: expect.stringContaining('Allow in this session') })
    expect(await waiting).toBe('hello /held\n')
    expect(await inside(id, curl(`http://${excepted}/again`))).toBe('hello /again\n')
    expect(await inside(id, curl(`-p http://${excepted}/tunnel`))).toBe('hello /tunnel\n')
    const [rule] = await platform.json<Rule[]>('rules', 'list')
    expect(rule).toMatchObject({ sessionId: id, verdict: 'allow', match: { host: '127.0.0.1' } })
    expect(await platform.aio(['rules', 'revoke', rule?.id ?? ''])).toMatchObject({ code: 0 })
    const refused = inside(id, curl(`-w '%{http_code}' http://${excepted}/after`))
    await platform.aio(['deny', (await asked()).id, '--text', 'not today'])
    expect(await refused).toMatch(/not today\.\n403$/)
    const log = await platform.json<EgressRecord[]>('egress', id)
    expect(log.slice(-4).map(({ verdict }) => verdict)).toEqual(['allowed', 'allowed', 'allowed', 'denied'])
  })

  it('a question outlives orchestrator, relay and whoever waited for it, and is answered once', async () => {
    const id = await newSession('durable')
    const cutOff = inside(id, `${curl(`http://${excepted}/cut`)} || echo cut off`)
    const { id: questionId } = await asked()
    await killed('orchestrator', 'relay')
    // With the orchestrator its side of the door is gone: nothing goes through, and nothing hangs.
    expect(await cutOff).not.toContain('hello')
    expect(await asked()).toMatchObject({ id: questionId, state: 'pending' })
    const waiting = inside(id, `sleep 0.2; until ${curl(`-f http://${excepted}/retried`)}; do sleep 0.2; done`)
    expect(await platform.aio(['approve', questionId])).toMatchObject({ code: 0 })
    expect(await waiting).toContain('hello /retried')
    const second = await platform.aio(['deny', questionId])
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('answered by') })
  })

  it('what the model used is counted, and a budget that is used up freezes the session and asks', async () => {
    const file = join(platform.projectsDir, 'shop/project.toml')
    await writeFile(file, `${await readFile(file, 'utf8')}\n[budget.session]\nturns = 2\n`)
    await killed('orchestrator')
    const id = await newSession('budget', 'probe')
    const call = `curl -sS -m 60 ${PROXY}/v1/messages -H 'content-type: application/json' -d '${JSON.stringify({
      model: 'stub-model',
      stream: true,
      messages: [{ role: 'user', content: 'hello' }],
    })}'`
    await inside(id, `${call} >/dev/null; ${call} >/dev/null`)
    const session = () => platform.json<Session[]>('sessions', 'list').then((all) => all.find((one) => one.id === id))
    await until(async () => (await session())?.usage?.turns === 2, 20_000)
    expect(await session()).toMatchObject({
      usage: { turns: 2, inputTokens: 20, outputTokens: 10, model: 'stub-model', unpricedTurns: 2 },
    })
    const before = stub.calls.length
    const held = inside(id, `${call} | tail -c 100; touch done`)
    const question = await asked()
    expect(question).toMatchObject({
      kind: 'budget',
      detail: { scope: 'session', reached: 'turns', usage: { turns: 2 } },
    })
    expect(stub.calls).toHaveLength(before)
    await platform.aio(['approve', question.id])
    expect(await held).toContain('message_stop')
    expect(stub.calls).toHaveLength(before + 1)

    // As much again is used up in turn. What is frozen can be ended all the same, also by the next orchestrator.
    await inside(id, `${call} >/dev/null`)
    const cutOff = inside(id, call)
    await asked()
    await killed('orchestrator')
    expect(await asked()).toMatchObject({ sessionId: id, detail: { budget: { turns: 4 } } })
    expect(await platform.aio(['sessions', 'terminate', id, '--force'])).toMatchObject({ code: 0 })
    await cutOff
    expect(await pending()).toEqual([])
  })
})
