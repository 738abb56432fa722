import { commandRate, roundTrip } from './relay/commands.ts'
import { fanOut } from './relay/fan-out.ts'
import { idleMemory } from './relay/idle-memory.ts'
import { reconnectStorm } from './relay/reconnect-storm.ts'
import { slowConsumer } from './relay/slow-consumer.ts'
import { startSystems } from './relay/systems.ts'
import type { Figure } from './report.ts'

/** What the relay costs, beside a hub of a few lines of raw `ws` and the same in stock tRPC. About two minutes. */
export async function benchRelay(): Promise<Figure[]> {
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
    ...(await reconnectStorm()),
  ]
}
