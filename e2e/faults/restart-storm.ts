import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import { until } from '../harness/platform.ts'
import { type RelayProcess, startRelayProcess } from '../harness/relay-process.ts'
import { ScriptedOrchestrator } from '../harness/scripted-orchestrator.ts'
import type { Ledger } from './ledger.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** How large a storm is. */
export interface Storm {
  clients: number
  orchestrators: number
  /** How often the relay is killed and started again. */
  restarts: number
  /** How often every connection is reset while the relay lives. */
  resets: number
}

/** What a storm came to. */
export interface StormOutcome {
  /** Until all were back after each restart and reset, in milliseconds. */
  backMs: number[]
  /** The relay's memory when all were there, before the first reset and after the last, in MB. */
  rssMb: { before: number; after: number }
}

/** Promised is 30 seconds (F-14, S-3); the rest is for a busy machine that also has all the clients. */
const BACK_WITHIN_MS = 60_000

/** Connections that live for longer than this begin their back-off anew, as those of a relay that restarts now and then do. */
const STABLE_MS = 5_500

/** Everybody loses the relay at the same moment, again and again: all come back, and have missed nothing (F-14). */
export async function restartStorm(storm: Storm, ledger: Ledger): Promise<StormOutcome> {
  await using relay = await startRelayProcess()
  await using front = await TcpProxy.before(relay.port)
  await using all = new AsyncDisposableStack()
  const where = { wsUrl: front.wsUrl, token: relay.token }
  const machines = Array.from({ length: storm.orchestrators }, () => all.use(new ScriptedOrchestrator(where)))
  await Promise.all(machines.map((machine) => machine.ready()))
  const clients = Array.from({ length: storm.clients }, () =>
    all.use(createClient({ url: where.wsUrl, token: where.token, connectTimeoutMs: BACK_WITHIN_MS })),
  )
  for (const [index, client] of clients.entries()) void watch(client, ledger, `storm client ${index}`)
  await untilAllAreThere(relay, storm)
  const backMs: number[] = []
  const strike = async (blow: () => Promise<void>) => {
    await askOne(clients, machines, ledger)
    await sleep(STABLE_MS)
    await blow()
    const struckAt = performance.now()
    await untilAllAreThere(relay, storm)
    backMs.push(Math.round(performance.now() - struckAt))
    await askOne(clients, machines, ledger)
  }
  for (let count = 0; count < storm.restarts; count += 1)
    await strike(async () => {
      await relay.kill()
      await relay.restart()
    })
  const before = await rssMb(relay.pid)
  for (let count = 0; count < storm.resets; count += 1) await strike(async () => front.reset())
  const after = await rssMb(relay.pid)
  await ledger.checkWatchers()
  return { backMs, rssMb: { before, after } }
}

async function watch(client: Client, ledger: Ledger, name: string): Promise<void> {
  try {
    for await (const event of client.events()) ledger.sees(name, event)
  } catch (error) {
    ledger.violates(`E-1 the stream of ${name} ended: ${String(error)}`)
  }
}

async function untilAllAreThere(relay: RelayProcess, { clients, orchestrators }: Storm): Promise<void> {
  let counted = ''
  await until(
    async () => {
      const answer = await fetch(`http://127.0.0.1:${relay.port}/health`).catch(() => undefined)
      counted = (await answer?.text()) ?? 'no answer'
      if (answer?.ok !== true) return false
      const health: { clients: number; orchestrators: number } = JSON.parse(counted)
      return health.clients === clients && health.orchestrators === orchestrators
    },
    BACK_WITHIN_MS,
    () => `of ${clients} clients and ${orchestrators} orchestrators there are: ${counted}`,
  )
  await sleep(500) // their subscriptions are right behind them
}

async function askOne(clients: Client[], machines: ScriptedOrchestrator[], ledger: Ledger): Promise<void> {
  const [client] = clients
  const [machine] = machines
  if (client === undefined || machine === undefined) throw new Error('there is nobody to ask')
  const commandId = newCommandId()
  ledger.asks(commandId)
  const request = { commandId, orchestratorId: machine.id, command: 'slow', input: {} }
  ledger.answers(await client.commands.run.mutate(request))
  if (machine.started.get(commandId) !== 1)
    ledger.violates(`C-2 ${commandId} was started ${machine.started.get(commandId)} times`)
}

async function rssMb(pid: number): Promise<number> {
  return Math.round((Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]) * 4096) / 1e6)
}
