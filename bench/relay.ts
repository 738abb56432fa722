import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort, until } from '@ai-orchestration/e2e/platform'
import {
  type Client,
  createClient,
  dispatchSchema,
  LINK_VERSION,
  newCommandId,
  type OrchestratorEvent,
} from '@ai-orchestration/sdk'
import WebSocket from 'ws'
import { type Figure, median } from './report.ts'

const ROUNDS = 400
const WATCHERS = 100
const BURST = 500

/** Round trip of a command, and fan-out of a burst of events, beside a raw `ws` hub that does the least possible. */
export async function benchRelay(): Promise<Figure[]> {
  await using relay = await startRelay()
  await using hub = await startHub()
  await using operator = createClient({ url: relay.url, token: relay.token })
  await using machine = createClient({ url: relay.url, token: relay.token, headers: { 'x-aio-role': 'orchestrator' } })
  const publish = await actAsOrchestrator(machine)
  return [await roundTrip(operator, hub.url), await fanOut(relay, hub, publish)]
}

async function roundTrip(operator: Client, hubUrl: string): Promise<Figure> {
  const asker = await connect(hubUrl)
  const worker = await connect(hubUrl)
  worker.send(JSON.stringify({ type: 'worker' }))
  worker.on('message', (data) => worker.send(JSON.stringify({ ...JSON.parse(data.toString()), type: 'answer' })))
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < ROUNDS + 50; round += 1) {
    const a = await time(
      async () =>
        await operator.commands.run.mutate({ commandId: newCommandId(), command: 'list_projects', input: {} }),
    )
    const b = await time(async () => {
      asker.send(JSON.stringify({ type: 'ask', n: round, input: {} }))
      await once(asker, 'message')
    })
    if (round < 50) continue // both warm up first
    ours.push(a)
    theirs.push(b)
  }
  asker.close()
  worker.close()
  return {
    what: 'relay: command round trip, one in flight',
    unit: 'ms',
    ours: median(ours),
    baseline: 'a raw ws two-hop',
    theirs: median(theirs),
    runs: ROUNDS,
  }
}

/** CPU that the server spends per delivered event when a burst goes to many watchers. */
async function fanOut(relay: Server, hub: Server, publish: (count: number) => Promise<void>): Promise<Figure> {
  const clients = Array.from({ length: WATCHERS }, () => createClient({ url: relay.url, token: relay.token }))
  let delivered = 0
  const streams = clients.map((client) => client.events({ types: ['command_progress'] }))
  const counting = streams.map(async (stream) => {
    for await (const event of stream) if (event.type === 'command_progress') delivered += 1
  })
  const sockets = await Promise.all(Array.from({ length: WATCHERS }, async () => await connect(hub.url)))
  let received = 0
  for (const socket of sockets)
    socket.on('message', () => {
      received += 1
    })
  const sender = await connect(hub.url)
  sender.send(JSON.stringify({ type: 'worker' }))
  await until(() => clients.every((client) => client.status.state === 'connected'))
  await warmUp(publish, () => delivered)
  const ours: number[] = []
  const theirs: number[] = []
  for (let run = 0; run < 5; run += 1) {
    delivered = 0
    const before = await cpuSeconds(relay.pid)
    await publish(BURST)
    await until(() => delivered >= BURST * WATCHERS, 60_000)
    ours.push((((await cpuSeconds(relay.pid)) - before) * 1e6) / (BURST * WATCHERS))
    received = 0
    const hubBefore = await cpuSeconds(hub.pid)
    for (let n = 0; n < BURST; n += 1) sender.send(JSON.stringify({ ...progressEvent(n), type: 'event' }))
    await until(() => received >= BURST * WATCHERS, 60_000)
    theirs.push((((await cpuSeconds(hub.pid)) - hubBefore) * 1e6) / (BURST * WATCHERS))
  }
  for (const stream of streams) await stream.return?.()
  await Promise.all([...clients.map((client) => client.close()), ...counting])
  for (const socket of [...sockets, sender]) socket.close()
  return {
    what: `relay: CPU per delivered event, burst to ${WATCHERS} watchers`,
    unit: 'µs',
    ours: median(ours),
    baseline: 'a raw ws send loop',
    theirs: median(theirs),
    runs: ours.length,
  }
}

async function warmUp(publish: (count: number) => Promise<void>, delivered: () => number): Promise<void> {
  // Subscriptions open after the sockets do: publish until every watcher has had one.
  await until(async () => {
    const before = delivered()
    await publish(1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    return delivered() - before >= WATCHERS
  }, 30_000)
}

const progressEvent = (n: number) => ({
  type: 'command_progress' as const,
  commandId: '01JD000000000000000000BENC',
  progress: n % 100,
  message: 'Receiving objects',
})

/** Registers as a machine that answers every command at once. @returns what publishes a burst. */
async function actAsOrchestrator(machine: Client): Promise<(count: number) => Promise<void>> {
  const now = new Date().toISOString()
  const { epoch } = await machine.orchestrator.register.mutate({
    linkVersion: LINK_VERSION,
    orchestrator: {
      id: '01JD000000000000000000BENC',
      name: 'bench',
      version: '0',
      machine: { cores: 1, memoryBytes: 1, kernel: now },
      agents: [],
      isolation: 'full',
      warnings: [],
    },
    commands: [{ name: 'list_projects', isBuiltIn: true }],
    projects: [],
    sessions: [],
    known: [],
  })
  let seq = 0
  const send = async (events: OrchestratorEvent[]) => {
    const numbered = events.map((event) => {
      seq += 1
      return { seq, event }
    })
    await machine.orchestrator.publish.mutate({ epoch, events: numbered })
  }
  machine.orchestrator.commands.subscribe(
    { epoch },
    {
      onData: ({ data }) => {
        const dispatch = dispatchSchema.parse(data)
        if (dispatch.type === 'run')
          void send([{ type: 'command_result', commandId: dispatch.commandId, command: dispatch.command, output: [] }])
      },
    },
  )
  return async (count) => {
    for (let sent = 0; sent < count; sent += 100)
      await send(Array.from({ length: Math.min(100, count - sent) }, (_, n) => progressEvent(sent + n)))
  }
}

interface Server extends AsyncDisposable {
  url: string
  token: string
  pid: number
}

async function startRelay(): Promise<Server> {
  const aioHome = await mkdtemp(join(tmpdir(), 'aio-bench-'))
  const port = await freePort()
  const token = 'bench'.padEnd(40, '0')
  const child = spawn(process.execPath, [join(import.meta.dirname, '../apps/relay/src/main.ts')], {
    env: {
      ...process.env,
      AIO_HOME: aioHome,
      PORT: String(port),
      HOST: '127.0.0.1',
      AUTH_TOKEN: token,
      LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await until(
    async () =>
      await fetch(`http://127.0.0.1:${port}/health`).then(
        (response) => response.ok,
        () => false,
      ),
  )
  return {
    url: `ws://127.0.0.1:${port}/ws`,
    token,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      await end(child)
      await rm(aioHome, { recursive: true, force: true })
    },
  }
}

async function startHub(): Promise<Server> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'raw-hub.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return {
    url: `ws://127.0.0.1:${port}`,
    token: '',
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => await end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close')
  child.kill('SIGTERM')
  await ended
}

async function connect(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await once(socket, 'open')
  return socket
}

async function time(action: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await action()
  return performance.now() - startedAt
}

/** CPU time of a process so far, in seconds; the kernel counts in hundredths. */
async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
