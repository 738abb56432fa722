import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Ledger } from './ledger.ts'
import type { World } from './world.ts'

/** How long the storm lasts, in milliseconds. */
const STORM_MS = 3_000

/** How long somebody else may wait for an answer meanwhile, in milliseconds: far above what it takes on a busy machine. */
const PATIENCE_MS = 15_000

/**
 * Clients that connect, are cut, and connect again at once, without a pause and half of them without a token (F-15). Whoever is
 * connected must be served meanwhile (S-5).
 */
export async function reconnectStorm(world: World, ledger: Ledger, clients: number): Promise<string> {
  const until = performance.now() + STORM_MS
  let opened = 0
  let refused = 0
  const one = async (index: number) => {
    const headers = index % 2 === 0 ? { authorization: `Bearer ${world.relay.token}` } : {}
    while (performance.now() < until) {
      const socket = new WebSocket(world.relay.wsUrl, { headers, handshakeTimeout: PATIENCE_MS })
      const outcome = await Promise.race([
        once(socket, 'open').then(() => 'open' as const),
        new Promise<'refused'>((resolve) => socket.once('error', () => resolve('refused'))),
      ]).catch(() => 'refused' as const)
      if (outcome === 'open') opened += 1
      else refused += 1
      socket.on('error', () => undefined)
      socket.terminate()
      await sleep(1)
    }
  }
  const storm = Promise.all(Array.from({ length: clients }, (_, index) => one(index)))
  const slowest = await slowestAnswer(world, until)
  await storm
  if (slowest > PATIENCE_MS)
    ledger.violates(`S-5 in a storm of ${clients} clients an answer took ${Math.round(slowest)} ms`)
  return `${clients} clients, ${opened} connections and ${refused} refusals, slowest answer to another ${Math.round(slowest)} ms`
}

async function slowestAnswer(world: World, until: number): Promise<number> {
  let slowest = 0
  while (performance.now() < until) {
    const begun = performance.now()
    await world.observer.orchestrators.list.query()
    slowest = Math.max(slowest, performance.now() - begun)
    await sleep(100)
  }
  return slowest
}
