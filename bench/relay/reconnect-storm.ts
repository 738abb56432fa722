import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Figure, median } from '../report.ts'
import { connect } from './caller.ts'
import { startRawServer } from './raw-system.ts'
import { startRelayServer, startRelaySystem, TOKEN_HEADER } from './relay-system.ts'
import type { ServerProcess } from './server-process.ts'

const WATCHERS = 1_000
const MISSED = 10 // events that each watcher had not seen when the relay went
const RUNS = 3

/**
 * A relay is killed and started again, and a thousand watchers come back in the same moment: time and CPU from when it listens
 * until every one of them has what it missed, beside a raw server that accepts as many sockets and knows nothing of them.
 */
export async function reconnectStorm(): Promise<Figure[]> {
  const ours: Storm[] = []
  const raw: Storm[] = []
  for (let run = 0; run < RUNS; run += 1) {
    ours.push(await relayStorm())
    await using server = await startRawServer('route')
    raw.push(await storm(server, async () => await connect(server.url)))
  }
  const figure = (name: keyof Storm) => ({
    ours: median(ours.map((one) => one[name])),
    theirs: median(raw.map((one) => one[name])),
  })
  const shared = { baseline: 'a raw ws server that accepts them', runs: RUNS }
  const what = `relay: ${WATCHERS} watchers come back at once after a restart and get ${MISSED} events each`
  return [
    { ...shared, what, unit: 'ms', ...figure('ms') },
    { ...shared, what: `${what}, CPU of each`, unit: 'µs', ...figure('cpuUs') },
  ]
}

interface Storm {
  ms: number
  cpuUs: number
}

async function relayStorm(): Promise<Storm> {
  const aioHome = await mkdtemp(join(tmpdir(), 'aio-bench-'))
  try {
    const after = await filledJournal(aioHome)
    await using server = await startRelayServer('durable', aioHome)
    return await storm(server, () => resumed(server, after))
  } finally {
    await rm(aioHome, { recursive: true, force: true })
  }
}

/** Fills a relay's journal, ends the relay, and answers where the watchers stood when it had {@link MISSED} events to go. */
async function filledJournal(aioHome: string): Promise<string> {
  await using system = await startRelaySystem('durable', aioHome)
  const seen: string[] = []
  const socket = await connect(system.server.url, TOKEN_HEADER)
  socket.send(subscription({ types: ['command_progress'] }))
  socket.on('message', (data) => {
    const { result }: { result: { id?: string } } = JSON.parse(data.toString())
    if (result.id !== undefined) seen.push(result.id)
  })
  await system.publish(100)
  while (seen.length < 100) await new Promise((resolve) => setTimeout(resolve, 5))
  socket.terminate()
  const position = seen.at(-1 - MISSED)
  if (position === undefined) throw new Error('the relay gave no positions')
  return position
}

async function resumed(server: ServerProcess, lastEventId: string) {
  const socket = await connect(server.url, TOKEN_HEADER)
  await new Promise<void>((resolve) => {
    let missing = MISSED + 1 // and `started`
    socket.on('message', () => {
      missing -= 1
      if (missing === 0) resolve()
    })
    socket.send(subscription({ types: ['command_progress'] }, lastEventId))
  })
  return socket
}

function subscription(input: object, lastEventId?: string): string {
  return JSON.stringify({ id: 1, method: 'subscription', params: { path: 'events.watch', input, lastEventId } })
}

async function storm(server: ServerProcess, comeBack: () => Promise<{ terminate(): void }>): Promise<Storm> {
  const before = await server.usage()
  const startedAt = performance.now()
  const sockets = await Promise.all(Array.from({ length: WATCHERS }, comeBack))
  const ms = performance.now() - startedAt
  const after = await server.usage()
  for (const socket of sockets) socket.terminate()
  return { ms, cpuUs: (after.cpuUs - before.cpuUs) / WATCHERS }
}
