/** How the connection to the relay stands; narrow it by `state`. Times are milliseconds since 1970, for display. */
export type ConnectionStatus =
  | {
      state: 'connecting'
      /** How many attempts have failed in a row. */
      attempt: number
      since: number
      /** Milliseconds until the next attempt, when one is being waited for. */
      retryInMs?: number
    }
  | { state: 'connected'; since: number }
  /** The relay refused the token; it is not tried again. */
  | { state: 'unauthorized'; message: string }
  /** Another process registered as the same orchestrator, and this one must not fight it; it is not tried again. */
  | { state: 'superseded'; message: string }
  | { state: 'closed' }
