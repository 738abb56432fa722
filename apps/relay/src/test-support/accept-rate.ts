// Prints how many commands the ledger accepts per second, durably and in memory, as one JSON line: for bench/relay-accept.ts.
// Arguments: how many are in flight, and for how many milliseconds each of three interleaved runs goes on.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { DurableLedger } from '../command/durable-ledger.ts'
import type { Entry, Ledger } from '../command/ledger.ts'
import { MemoryLedger } from '../command/memory-ledger.ts'
import { Store } from '../store/store.ts'

const RUNS = 3
const RETENTION = { maxEvents: 1e6, maxBytes: 2 ** 30, maxAgeMs: 3_600_000 }

let commands = 0
const [inFlight = 64, runMs = 1_000] = process.argv.slice(2).map(Number)
const home = await mkdtemp(join(tmpdir(), 'aio-accept-'))
const store = await Store.open({ path: join(home, 'relay.db'), retention: RETENTION, log: pino({ level: 'silent' }) })
const ledgers: Record<'durable' | 'memory', Ledger> = {
  durable: new DurableLedger({ store }),
  memory: new MemoryLedger({ maxFinal: 1_000 }),
}
const rates: Record<'durable' | 'memory', number[]> = { durable: [], memory: [] }
for (let run = -1; run < RUNS; run += 1)
  for (const name of ['durable', 'memory'] as const) {
    const rate = await acceptsPerSecond(ledgers[name])
    if (run >= 0) rates[name].push(rate)
  }
await store.close()
await rm(home, { recursive: true })
process.stdout.write(`${JSON.stringify(rates)}\n`)

async function acceptsPerSecond(ledger: Ledger): Promise<number> {
  const startedAt = performance.now()
  let accepted = 0
  const one = async () => {
    for (let turn = 0; performance.now() - startedAt < runMs; turn += 1) {
      const entry = newEntry()
      await ledger.accept(entry)
      accepted += 1
      // Ended at once, so that the open ones do not pile up; not a part of what is counted, but of what is paid.
      entry.command = { ...entry.command, state: 'succeeded' }
      ledger.put(entry)
      if (turn % 256 === 255) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  return (accepted * 1_000) / (performance.now() - startedAt)
}

function newEntry(): Entry {
  const now = new Date().toISOString()
  commands += 1
  const commandId = `01JD${String(commands).padStart(22, '0')}` // making a real one costs more than keeping it
  const orchestratorId = '01JD000000000000000000BENC'
  return {
    command: { commandId, command: 'bench', orchestratorId, state: 'accepted', createdAt: now, updatedAt: now },
    input: { projectId: 'shop', name: 'login-form', prompt: 'Make the login form work.' },
    contentHash: '0'.repeat(64),
    by: { name: 'bench', isAdmin: true },
    isKept: false,
    deadline: performance.now() + 600_000,
    wasDispatched: true,
    wasAcknowledged: false,
    cancelRequested: false,
  }
}
