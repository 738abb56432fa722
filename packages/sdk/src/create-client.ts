import { splitLink, type TRPCLink, TRPCUntypedClient, wsLink } from '@trpc/client'
import { askAgainLink, gateLink } from './call-links.ts'
import type { Client } from './client.ts'
import { type ClientOptions, CONNECT_TIMEOUT_MS, relayUrl } from './client-options.ts'
import { procedureProxy } from './procedure-proxy.ts'
import { RelaySocket } from './relay-socket.ts'
import type { AppRouter } from './router.ts'
import { Streams } from './streams.ts'

/**
 * Connects to a relay. Every procedure of the relay is there, typed by the relay's own router; errors are `AioError`.
 *
 * @throws TypeError when the URL is not one.
 */
export function createClient(options: ClientOptions): Client {
  const url = relayUrl(options.url)
  const random = options.random ?? Math.random
  const control = openSocket(url, options, { random, isLazy: false })
  const bytes = openSocket(url, options, { random, isLazy: true })
  if (options.onStatus !== undefined) control.onStatus(options.onStatus)

  const chain = (socket: RelaySocket): TRPCLink<AppRouter>[] => [
    askAgainLink(random),
    gateLink(socket, options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, url),
    wsLink({ client: socket.client }),
  ]
  const link = splitLink<AppRouter>({
    condition: (op) => isBytesPath(op.path),
    true: chain(bytes),
    false: chain(control),
  })
  const untyped = new TRPCUntypedClient<AppRouter>({ links: [link] })
  const streams = new Streams(untyped, random)
  const close = async () => {
    streams.end()
    await Promise.all([control.close(), bytes.close()])
  }
  return procedureProxy(untyped, {
    events: (filter, { signal } = {}) => streams.events(filter ?? {}, signal),
    terminal: (sessionId, opening) => streams.terminal(sessionId, opening ?? {}),
    chat: (sessionId, opening) => streams.chat(sessionId, opening ?? {}),
    exec: (sessionId, argv, running) => streams.exec(sessionId, argv, running ?? {}),
    export: (sessionId, format, { signal } = {}) => streams.export(sessionId, format, signal),
    stats: (sessionId, { signal } = {}) => streams.stats(sessionId, signal),
    get status() {
      return bytes.status.state === 'unauthorized' ? bytes.status : control.status
    },
    onStatus: (listener) => control.onStatus(listener),
    link,
    close,
    [Symbol.asyncDispose]: close,
  })
}

function openSocket(
  url: string,
  { token, headers, webSocket }: ClientOptions,
  how: { random: () => number; isLazy: boolean },
): RelaySocket {
  const readToken = async () => (typeof token === 'function' ? await token() : token)
  return new RelaySocket({ url, token: readToken, headers: headers ?? {}, webSocket, ...how })
}

/** Bytes go over a socket of their own, so that a replay of megabytes never delays an event. */
function isBytesPath(path: string): boolean {
  return (
    path.startsWith('terminal.') ||
    path === 'chat.watch' ||
    path === 'chat.history' ||
    path.startsWith('sessions.exec') ||
    path === 'sessions.export' ||
    path === 'orchestrator.streams' ||
    path === 'orchestrator.send'
  )
}
