import type { ConnectionStatus } from './status.ts'

/** How to reach a relay. */
export interface ClientOptions {
  /** WebSocket URL of the relay, such as `ws://localhost:3000/ws`. `http` and `https` addresses are understood too. */
  url: string
  /** The token, or a function that is asked for it before every attempt to connect; absent only for logging in. */
  token?: string | undefined | (() => string | undefined | Promise<string | undefined>)
  /** The WebSocket class, where it is not the platform's own. */
  webSocket?: typeof WebSocket | undefined
  /** Extra headers of the upgrade request, where the platform can send them (Node). */
  headers?: Record<string, string> | undefined
  /** Called at every change of the connection's status. */
  onStatus?: ((status: ConnectionStatus) => void) | undefined
  /** How long a call waits for a connection before it fails with UNAVAILABLE, in milliseconds; `Infinity` waits for ever. Default 10,000. */
  connectTimeoutMs?: number | undefined
  /** Source of randomness between 0 and 1, for the jitter of reconnects. */
  random?: (() => number) | undefined
}

/** Default of `connectTimeoutMs`: long enough for a relay that restarts, short enough for a person. */
export const CONNECT_TIMEOUT_MS = 10_000

/**
 * Reads a relay's address the way people write it.
 *
 * @throws TypeError when it is not a URL of a known scheme.
 */
export function relayUrl(text: string): string {
  const url = new URL(text)
  const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol]
  if (scheme === undefined)
    throw new TypeError(`A relay's address begins with ws:, wss:, http: or https:, not ${url.protocol}`)
  url.protocol = scheme
  if (url.pathname === '/' || url.pathname === '') url.pathname = '/ws'
  url.hash = ''
  return url.href
}
