import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AioError,
  type AioEvent,
  type ConnectionStatus,
  createClient,
  newCommandId,
  type StreamFrame,
  type StreamOrder,
} from '@ai-orchestration/sdk'
import { expect, test } from 'vitest'
import { until } from './harness/platform.ts'
import { type RelayProcess, startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator, sessionOf } from './harness/scripted-orchestrator.ts'

function connect(relay: RelayProcess) {
  return createClient({ url: relay.wsUrl, token: relay.token })
}

/** Echoes what is typed, as a terminal with a log of its own: offsets go on over reconnects. */
function echoTerminal() {
  let log = 'welcome\r\n'
  const viewers = new Set<string>()
  return (order: StreamOrder, send: (...frames: StreamFrame[]) => void) => {
    const data = (streamId: string, from: number): StreamFrame => ({
      type: 'terminal',
      streamId,
      item: { type: 'data', offset: log.length, data: log.slice(from) },
    })
    if (order.type === 'open_terminal') {
      viewers.add(order.streamId)
      if (order.after !== undefined) send(...(order.after < log.length ? [data(order.streamId, order.after)] : []))
      else
        send({
          type: 'terminal',
          streamId: order.streamId,
          item: { type: 'replay', offset: log.length, cols: 80, rows: 24, data: log },
        })
    } else if (order.type === 'terminal_input') {
      const from = log.length
      log += order.data
      send(...[...viewers].map((streamId) => data(streamId, from)))
      if (!order.data.includes('bye')) return
      for (const streamId of viewers)
        send({ type: 'terminal', streamId, item: { type: 'exit', offset: log.length } }, { type: 'closed', streamId })
    } else if (order.type === 'close') viewers.delete(order.streamId)
  }
}

test('a refused token ends the client instead of a storm of attempts', async () => {
  await using relay = await startRelayProcess()
  const seen: ConnectionStatus[] = []
  await using aio = createClient({ url: relay.wsUrl, token: 'x'.repeat(40), onStatus: (status) => seen.push(status) })
  await expect(aio.projects.list.query()).rejects.toMatchObject({ name: 'AioError', code: 'UNAUTHORIZED' })
  await until(() => aio.status.state === 'unauthorized')
  const attempts = seen.length
  await sleep(1_500)
  expect(seen.length).toBe(attempts)
  await expect(aio.projects.list.query()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
})

test('a relay that is not there is UNAVAILABLE after the connect timeout, and found when it comes', async () => {
  const relay = await startRelayProcess()
  await using _relay = relay
  await relay.kill()
  await using aio = createClient({ url: relay.wsUrl, token: relay.token, connectTimeoutMs: 500 })
  await expect(aio.projects.list.query()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(aio.events().next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await relay.restart()
  await until(() => aio.status.state === 'connected', 20_000)
  expect(await aio.projects.list.query()).toEqual([])
})

test('errors of the relay arrive as AioError with code, message and details, also through a link and a subscription', async () => {
  await using relay = await startRelayProcess()
  await using aio = connect(relay)
  await expect(aio.sessions.get.query({ sessionId: 'no_such' })).rejects.toBeInstanceOf(AioError)
  await expect(aio.sessions.create.mutate({ projectId: 'A;b', name: 'x' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  await expect(aio.terminal('no_such')).rejects.toMatchObject({ name: 'AioError' })
  const failed = new Promise((resolve) =>
    aio.terminal.watch.subscribe({ sessionId: 'no_such' }, { onError: (error) => resolve(error) }),
  )
  expect(await failed).toBeInstanceOf(AioError)
})

test('a command in flight when the relay dies is asked for again by its id and runs once', {
  timeout: 90_000,
}, async () => {
  await using relay = await startRelayProcess()
  const go = Promise.withResolvers<void>()
  await using machine = new ScriptedOrchestrator(relay, {
    run: async () => {
      await go.promise
      return { value: 42 }
    },
  })
  await machine.ready()
  await using aio = connect(relay)
  const commandId = newCommandId()
  const answer = aio.commands.run.mutate({ commandId, command: 'slow', input: {} })
  await until(() => machine.started.has(commandId))
  await relay.kill()
  await relay.restart()
  setTimeout(() => go.resolve(), 500)
  const done = await answer
  expect(done).toMatchObject({ commandId, state: 'succeeded' })
  expect([...machine.started.values()]).toEqual([1])
})

test('a mutation that is no command is not repeated when its socket is lost', async () => {
  await using relay = await startRelayProcess()
  await using aio = connect(relay)
  await aio.auth.whoami.query()
  relay.signal('SIGSTOP')
  const answer = aio.tokens.create.mutate({ role: 'viewer', name: 'lost' }).catch((error: unknown) => error)
  await sleep(200)
  await relay.kill()
  expect(await answer).toMatchObject({ code: 'UNAVAILABLE' })
})

test('[E-1] events are in order without duplicates, and go on after a stored position', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  // Answered once it is on disk, and so is what the registration told before: a watcher from now on does not see that.
  await aio.tokens.create.mutate({ role: 'viewer', name: 'settles' })
  const tell = (title: string) =>
    machine.publish({ type: 'session_updated', session: { ...sessionOf(machine.id, 'first'), title } })
  const events = aio.events({ types: ['session_updated'] })
  const first = events.next()
  await aio.auth.whoami.query()
  for (const title of ['a', 'b', 'c', 'd']) tell(title)
  const seen: AioEvent[] = [(await first).value].filter((event) => event !== undefined)
  for await (const event of events) {
    seen.push(event)
    if (seen.length === 2) break
  }
  expect(events.position).toBe(seen[1]?.position)
  expect(await events.next()).toEqual({ done: true, value: undefined })
  for await (const event of aio.events({ types: ['session_updated'], after: events.position ?? '' })) {
    seen.push(event)
    if (seen.length === 4) break
  }
  expect(seen.map((event) => ('session' in event ? event.session.title : ''))).toEqual(['a', 'b', 'c', 'd'])
  expect(new Set(seen.map((event) => event.position)).size).toBe(4)
})

test('[E-3] after the relay lost its memory a watcher gets gap and snapshot, then goes on', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  const types: string[] = []
  const tell = (title: string) =>
    machine.publish({ type: 'session_updated', session: { ...sessionOf(machine.id, 'first'), title } })
  const reading = (async () => {
    for await (const event of aio.events()) {
      types.push(event.type)
      if (event.type === 'session_updated' && event.session.title === 'last') break
    }
  })()
  await aio.auth.whoami.query()
  tell('first')
  await until(() => types.includes('session_updated'))
  await relay.kill()
  await rm(join(relay.aioHome, 'relay'), { recursive: true })
  await relay.restart()
  await until(() => types.includes('gap'), 30_000)
  tell('last')
  await reading
  expect(types.indexOf('snapshot')).toBeGreaterThan(types.indexOf('gap'))
})

test('a watcher that had seen nothing when its relay went away gets a snapshot, so that nothing is missed in silence', async () => {
  await using relay = await startRelayProcess()
  await using aio = connect(relay)
  const first = aio.events()[Symbol.asyncIterator]().next()
  await aio.auth.whoami.query()
  await relay.kill()
  await relay.restart()
  expect((await first).value).toMatchObject({ type: 'snapshot', sessions: [] })
})

test('a terminal shows, takes keys in order, resumes by offset when the relay is restarted, and ends with exit', {
  timeout: 90_000,
}, async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay, { stream: echoTerminal() })
  await machine.ready()
  await using aio = connect(relay)
  const terminal = await aio.terminal('demo_first', { size: { cols: 90, rows: 30 } })
  let shown = ''
  const reading = (async () => {
    for await (const item of terminal) if ('data' in item) shown += item.data
  })()
  await until(() => shown.includes('welcome'))
  const typed = Array.from({ length: 200 }, (_, at) => `k${at} `)
  await Promise.all(typed.map((key) => terminal.write(key)))
  await until(() => shown.endsWith('k199 '))
  expect(shown).toBe(`welcome\r\n${typed.join('')}`)
  await terminal.resize(100, 40)
  await relay.kill()
  await relay.restart()
  await until(async () => (await aio.orchestrators.list.query()).some((one) => one.state === 'online'), 30_000)
  await until(() => machine.orders.filter((order) => order.type === 'open_terminal').length >= 2, 40_000)
  const reopened = machine.orders.filter((order) => order.type === 'open_terminal').at(-1)
  expect(reopened).toMatchObject({ after: `welcome\r\n${typed.join('')}`.length, size: { cols: 100, rows: 40 } })
  terminal.write('bye')
  await reading
  expect(shown).toBe(`welcome\r\n${typed.join('')}bye`)
})

test('exec keeps stdout and stderr apart, sends stdin, and gives the exit status', async () => {
  await using relay = await startRelayProcess()
  const input: string[] = []
  await using machine = new ScriptedOrchestrator(relay, {
    stream: (order, send) => {
      if (order.type === 'open_exec')
        send(
          { type: 'exec', streamId: order.streamId, item: { type: 'stdout', data: btoa('out') } },
          { type: 'exec', streamId: order.streamId, item: { type: 'stderr', data: btoa('err') } },
        )
      if (order.type === 'write') input.push(atob(order.data))
      if (order.type === 'end')
        send(
          { type: 'exec', streamId: order.streamId, item: { type: 'exit', code: 7 } },
          { type: 'closed', streamId: order.streamId },
        )
    },
  })
  await machine.ready()
  await using aio = connect(relay)
  const exec = aio.exec('demo_first', ['cat'], { stdin: true })
  const text = async (from: AsyncIterable<Uint8Array>) => {
    let all = ''
    for await (const bytes of from) all += new TextDecoder().decode(bytes)
    return all
  }
  const read = Promise.all([text(exec.stdout), text(exec.stderr)])
  await until(() => machine.orders.some((order) => order.type === 'open_exec'))
  void exec.write('one ')
  void exec.write('two')
  await exec.end()
  expect(await exec.exit).toBe(7)
  expect(await read).toEqual(['out', 'err'])
  expect(input.join('')).toBe('one two')
})

test('an exec whose connection is lost fails, and is not run a second time', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  await using aio = connect(relay)
  const exec = aio.exec('demo_first', ['sleep', '100'])
  await until(() => machine.orders.some((order) => order.type === 'open_exec'))
  await relay.kill()
  await expect(exec.exit).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await relay.restart()
  await sleep(2_000)
  expect(machine.orders.filter((order) => order.type === 'open_exec')).toHaveLength(1)
})

test('[S-4] a path that went dead without a word is noticed within 40 seconds', { timeout: 90_000 }, async () => {
  await using relay = await startRelayProcess()
  await using aio = connect(relay)
  await aio.auth.whoami.query()
  relay.signal('SIGSTOP')
  try {
    await until(() => aio.status.state === 'connecting', 40_000)
  } finally {
    relay.signal('SIGCONT')
  }
  await until(() => aio.status.state === 'connected', 30_000)
})
