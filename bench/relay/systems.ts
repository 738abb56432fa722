import { startNatsSystem } from './nats-system.ts'
import { startRawSystem } from './raw-system.ts'
import { startRelaySystem } from './relay-system.ts'
import { startStockSystem } from './stock-system.ts'
import type { System } from './system.ts'

/** What is compared, each a process of its own. */
export interface Systems {
  /** Our relay as users run it: what it accepts is on stable storage. */
  ours: System
  /** The same without its disk, as the baselines are. */
  inMemory: System
  /** The least that raw `ws` can do: answers go to who asked, events to all. */
  raw: System
  /** The same, and every message goes to everybody. */
  broadcast: System
  /** What stock tRPC makes of the same. */
  stock: System
  /** Core NATS, which keeps nothing either; only where it is installed. */
  nats: System | undefined
}

/** Starts all; they end with the stack. */
export async function startSystems(ends: AsyncDisposableStack): Promise<Systems> {
  const nats = await startNatsSystem()
  if (nats !== undefined) ends.use(nats)
  return {
    nats,
    ours: ends.use(await startRelaySystem('durable')),
    inMemory: ends.use(await startRelaySystem('in memory')),
    raw: ends.use(await startRawSystem('route')),
    broadcast: ends.use(await startRawSystem('broadcast')),
    stock: ends.use(await startStockSystem()),
  }
}
