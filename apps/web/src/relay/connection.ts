import { createStore, useStore } from './store.ts'

/** What is known about the way to the relay; times are milliseconds since 1970, for display. */
export type Connection =
  | { kind: 'idle' }
  | { kind: 'connecting'; since: number }
  /** `latencyMs` is the round trip of the last test message. */
  | { kind: 'connected'; since: number; latencyMs?: number; testedAt?: number }
  | { kind: 'reconnecting'; since: number; attempt: number; nextAttemptAt?: number }
  | { kind: 'refused'; message: string }

/** The connection as the page shows it. */
export const connection = createStore<Connection>({ kind: 'idle' })

/** Follows the connection. */
export function useConnection(): Connection {
  return useStore(connection, { kind: 'idle' })
}

/** Why nothing can be sent now, for the hover of a disabled action; `undefined` when it can. */
export function useOfflineReason(): string | undefined {
  switch (useConnection().kind) {
    case 'connected':
      return undefined
    case 'idle':
    case 'connecting':
      return 'Connecting to the relay'
    case 'reconnecting':
      return 'Cannot be sent while reconnecting'
    case 'refused':
      return 'This device is logged out'
  }
}
