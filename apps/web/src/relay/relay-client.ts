import { type AppRouter, type Client, type ConnectionStatus, createClient } from '@ai-orchestration/sdk'
import type { TRPCLink } from '@trpc/client'
import { observable } from '@trpc/server/observable'
import { relayUrl } from './address.ts'
import { connection } from './connection.ts'
import { deviceToken } from './device-token.ts'
import { createStore } from './store.ts'

interface Held {
  token: string
  client: Client
  /** Connected at least once, so that the next loss is a reconnect. */
  wasConnected: boolean
}

let held: Held | undefined

/** Counts the clients of this page; whoever holds a stream opens it again when it changes. */
export const clientGeneration = createStore(0)

/** The one client of this page, for this device's token; made at its first use. */
export function relayClient(): Client {
  const token = deviceToken() ?? ''
  if (held !== undefined && held.token === token) return held.client
  void held?.client.close()
  connection.set({ kind: 'connecting', since: Date.now() })
  const made: Held = {
    token,
    wasConnected: false,
    client: createClient({ url: relayUrl(), token, onStatus: (status) => held === made && show(made, status) }),
  }
  held = made
  return made.client
}

/** Connects anew at once instead of waiting for the next attempt. */
export function reconnectNow(): void {
  if (held === undefined) return
  const before = connection.get()
  const { client, wasConnected } = held
  held = undefined
  void client.close()
  relayClient()
  // The page has been offline since then, not since this attempt.
  connection.set(before)
  markConnectedBefore(wasConnected)
  clientGeneration.set(clientGeneration.get() + 1)
}

/** Closes the connection; used at logging out. */
export function closeRelayClient(): void {
  const client = held?.client
  held = undefined
  connection.set({ kind: 'idle' })
  void client?.close()
}

/** The link of the present client, for the query hooks: they share its connection. */
export const presentClientLink: TRPCLink<AppRouter> = (runtime) => {
  const links = new WeakMap<Client, ReturnType<TRPCLink<AppRouter>>>()
  return ({ op, next }) =>
    observable((observer) => {
      const client = relayClient()
      const link = links.get(client) ?? client.link(runtime)
      links.set(client, link)
      return link({ op, next }).subscribe(observer)
    })
}

function markConnectedBefore(wasConnected: boolean): void {
  if (held !== undefined) held.wasConnected = wasConnected
}

function show(of: Held, status: ConnectionStatus): void {
  switch (status.state) {
    case 'connected':
      of.wasConnected = true
      connection.set({ kind: 'connected', since: status.since })
      return
    case 'connecting': {
      const before = connection.get()
      if (!of.wasConnected) {
        connection.set({ kind: 'connecting', since: before.kind === 'connecting' ? before.since : status.since })
        return
      }
      connection.set({
        kind: 'reconnecting',
        since: before.kind === 'reconnecting' ? before.since : status.since,
        attempt: status.attempt,
        ...(status.retryInMs === undefined ? {} : { nextAttemptAt: Date.now() + status.retryInMs }),
      })
      return
    }
    case 'unauthorized':
    case 'superseded':
      connection.set({ kind: 'refused', message: status.message })
      return
    case 'closed':
      return
    default:
      status satisfies never
  }
}
