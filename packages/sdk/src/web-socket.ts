import { AioError } from '@ai-orchestration/protocol'

/** An attempt that has not opened by then is given up, in milliseconds. */
const OPEN_TIMEOUT_MS = 10_000

/** A socket whose peer does not answer our close frame by then counts as closed, in milliseconds. */
const CLOSE_TIMEOUT_MS = 3_000

/** What the owner of a guarded socket supplies and is told. */
export interface WebSocketGuard {
  /** Headers of the upgrade request; sent where the platform can (Node, not browsers). */
  headers: () => Record<string, string>
  onCreate: (socket: WebSocket) => void
  onOpen: () => void
  onClose: (socket: WebSocket, code: number, reason: string) => void
}

/**
 * Wraps a WebSocket class so that a dead path cannot hold a socket for ever: an attempt that hangs is closed, and a
 * close that the peer never answers is reported anyway. The guard hears of everything before tRPC does.
 *
 * @throws AioError INTERNAL where no WebSocket exists.
 */
export function guardedWebSocket(given: typeof WebSocket | undefined, guard: WebSocketGuard): typeof WebSocket {
  const base = given ?? globalThis.WebSocket
  if (base === undefined)
    throw new AioError('INTERNAL', 'There is no WebSocket here. Use Node 22 or newer, or pass `webSocket`.')
  return new Proxy(base, {
    construct(target, [url]: [string]) {
      const init = isNode() ? [{ headers: guard.headers() }] : []
      const socket: WebSocket = Reflect.construct(target, [url, ...init])
      watch(socket, guard)
      return socket
    },
  })
}

function watch(socket: WebSocket, guard: WebSocketGuard): void {
  let isClosed = false
  let closing: ReturnType<typeof setTimeout> | undefined
  const opening = setTimeout(() => socket.close(), OPEN_TIMEOUT_MS)
  const close = socket.close.bind(socket)
  socket.close = (code?: number, reason?: string) => {
    if (!isClosed && closing === undefined)
      closing = setTimeout(
        () => socket.dispatchEvent(Object.assign(new Event('close'), { code: 1006, reason: '', wasClean: false })),
        CLOSE_TIMEOUT_MS,
      )
    close(code, reason)
  }
  let hasOpened = false
  socket.addEventListener('open', () => {
    hasOpened = true
    clearTimeout(opening)
    guard.onOpen()
  })
  socket.addEventListener('close', (event) => {
    if (isClosed) return event.stopImmediatePropagation()
    isClosed = true
    clearTimeout(opening)
    clearTimeout(closing)
    guard.onClose(socket, event.code, event.reason)
    // tRPC learns of a failed attempt by `error` only, and begins to listen a moment after the socket was made: an attempt
    // that fails at once (Node: a forbidden port) would be waited for for ever.
    if (!hasOpened) setTimeout(() => socket.dispatchEvent(new Event('error')))
  })
  guard.onCreate(socket)
}

function isNode(): boolean {
  const host: { process?: { versions?: { node?: string } }; window?: unknown } = globalThis
  return host.process?.versions?.node !== undefined && host.window === undefined
}
