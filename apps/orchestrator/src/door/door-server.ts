import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { refuse, refuseSocket } from './refuse.ts'
import { Reports } from './reports.ts'

/** Connections of one session. */
const CONNECTIONS_MAX = 256
/** Bytes of a request's header lines. */
const HEADER_BYTES_MAX = 32 * 1024
/** A request's header lines must be there by then, and between two pieces of its body no more may pass, in milliseconds. */
const HEADERS_MS = 20_000
/** How often that is looked at, as a part of it. */
const LOOKS = 4
const IDLE_MS = 10 * 60_000

/** What stands behind a session's door. */
export interface DoorRooms {
  /** What the session's agent tells of itself. */
  reports?: Pick<Reports, 'handle'> | undefined
  /** Requests for the door itself: the model API. None when the session's agent uses none. */
  gateway: { handle(request: IncomingMessage, response: ServerResponse): void } | undefined
  /** Requests for other hosts. */
  egress:
    | {
        handle(request: IncomingMessage, response: ServerResponse): void
        connect(request: IncomingMessage, client: Duplex, head: Buffer): void
      }
    | undefined
}

/** Makes the server that a session's listening socket is served by; it tells the two kinds of requests apart. */
export function createDoorServer({ reports, gateway, egress }: DoorRooms, { headersMs = HEADERS_MS } = {}): Server {
  const options = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: headersMs,
    connectionsCheckingInterval: headersMs / LOOKS,
    // A request on hold is not read on, for as long as a person takes.
    requestTimeout: 0,
    insecureHTTPParser: false,
    requireHostHeader: true,
  }
  const server = createServer(options, (request, response) => {
    const isForDoor = request.url?.startsWith('/') === true
    if (reports !== undefined && Reports.isOne(request)) reports.handle(request, response)
    else if (isForDoor && gateway !== undefined) gateway.handle(request, response)
    else if (!isForDoor && egress !== undefined) egress.handle(request, response)
    else refuse(response, 403, 'This session has no way there: its agent uses no model API, or it has no proxy.')
  })
  server.maxConnections = CONNECTIONS_MAX
  server.setTimeout(IDLE_MS)
  server.on('connect', (request, socket, head) => {
    if (egress === undefined)
      refuseSocket(socket, '403 Forbidden', 'This session has no network but the model API, so CONNECT is refused.')
    else egress.connect(request, socket, head)
  })
  server.on('clientError', (_error, socket) => {
    // In the middle of an answer another one would only be taken for a part of it.
    if (socket instanceof Socket && socket.bytesWritten > 0) socket.destroy()
    else refuseSocket(socket, '400 Bad Request', 'This is not an HTTP request.')
  })
  return server
}
