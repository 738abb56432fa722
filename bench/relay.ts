import { commandRate, roundTrip } from './relay/commands.ts'
import { fanOut } from './relay/fan-out.ts'
import { idleMemory } from './relay/idle-memory.ts'
import { reconnectStorm } from './relay/reconnect-storm.ts'
import { slowConsumer } from './relay/slow-consumer.ts'
import { startSystems } from './relay/systems.ts'
import { terminalFlood } from './relay/terminal-flood.ts'
import type { Figure } from './report.ts'

/** What the relay costs, beside a hub of a few lines of raw `ws`, the same in stock tRPC, and NATS where it is installed. About four minutes. */
export async function benchRelay(): Promise<Figure[]> {
  // One after the other: what is measured last has the machine for itself.
  return [...(await sideBySide()), ...(await reconnectStorm()), ...(await terminalFlood())]
}

async function sideBySide(): Promise<Figure[]> {
  await using ends = new AsyncDisposableStack()
  const systems = await startSystems(ends)
  return [
    ...(await commandRate(systems, 0)),
    ...(await commandRate(systems, 100)),
    ...(await roundTrip(systems)), // after the rates: by then every server has run as much as one that is in use
    ...(await fanOut(systems, 100)),
    ...(await fanOut(systems, 1_000)),
    ...(await idleMemory(systems)),
    ...(await slowConsumer(systems)),
  ]
}
