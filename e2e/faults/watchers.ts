import { setTimeout as sleep } from 'node:timers/promises'
import type { AioEvent, AppRouter, Client, EventFilter } from '@ai-orchestration/sdk'
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client'
import type { Ledger, WatcherRules } from './ledger.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** Somebody who watches and writes what it sees into the ledger, until it is disposed of. */
export type Watcher = AsyncDisposable

/** An SDK client that watches all events, or some. */
export async function sdkWatcher(
  world: World,
  ledger: Ledger,
  { name, filter = {}, rules = {} }: { name: string; filter?: EventFilter; rules?: WatcherRules },
): Promise<Watcher> {
  const client = world.client()
  const watching = watchAll(client, ledger, { name, filter, rules })
  await client.auth.whoami.query() // behind the subscription on the same socket: it has begun
  return {
    [Symbol.asyncDispose]: async () => {
      await client.close()
      await watching
    },
  }
}

async function watchAll(
  client: Client,
  ledger: Ledger,
  { name, filter, rules }: { name: string; filter: EventFilter; rules: WatcherRules },
): Promise<void> {
  try {
    for await (const event of client.events(filter)) ledger.sees(name, event, rules)
  } catch (error) {
    ledger.violates(`E-1 the stream of ${name} ended: ${String(error)}`)
  }
}

/** The tRPC client as its makers ship it, which resumes by the last id it was given. */
export async function stockWatcher(world: World, ledger: Ledger, name: string): Promise<Watcher> {
  const ws = createWSClient({
    url: world.front.wsUrl,
    connectionParams: () => ({ token: world.relay.token }),
    retryDelayMs: (attempt) => Math.min(100 * 2 ** attempt, 2_000),
    keepAlive: { enabled: true, intervalMs: 5_000, pongTimeoutMs: 5_000 },
  })
  const trpc = createTRPCClient<AppRouter>({ links: [wsLink({ client: ws })] })
  const started = Promise.withResolvers<void>()
  const subscription = trpc.events.watch.subscribe(
    {},
    {
      onStarted: () => started.resolve(),
      onData: ({ data }) => ledger.sees(name, data as AioEvent, { maySeeRepeats: true }),
      onError: (error) => ledger.violates(`E-1 the stream of ${name} ended: ${error.message}`),
    },
  )
  await started.promise
  return {
    [Symbol.asyncDispose]: async () => {
      subscription.unsubscribe()
      await ws.close()
    },
  }
}

/** Reads for a while, then not at all for a while, as a laptop does that is closed now and then. */
export async function slowReader(world: World, ledger: Ledger, name: string, random: Random): Promise<Watcher> {
  const client = world.client()
  const stopped = new AbortController()
  let readsUntil = 0
  const reading = (async () => {
    try {
      for await (const event of client.events()) {
        ledger.sees(name, event, { maySeeGap: true })
        if (performance.now() < readsUntil) continue
        await sleep(random.between(500, 8_000), undefined, { signal: stopped.signal })
        readsUntil = performance.now() + random.between(5_000, 20_000)
      }
    } catch (error) {
      if (!stopped.signal.aborted) ledger.violates(`E-1 the stream of ${name} ended: ${String(error)}`)
    }
  })()
  await client.auth.whoami.query()
  return {
    [Symbol.asyncDispose]: async () => {
      stopped.abort()
      await client.close()
      await reading
    },
  }
}
