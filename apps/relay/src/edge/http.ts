import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { AioError, ERROR_STATUS, VERSION } from '@ai-orchestration/protocol'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { ulid } from 'ulid'
import type { Context } from '../context.ts'
import { explain } from '../router/errors.ts'
import { appRouter } from '../router/index.ts'
import type { Services } from '../services.ts'
import type { Site } from '../web/site.ts'
import { plainAddress } from './addresses.ts'
import { bearerToken } from './bearer.ts'
import type { Gate } from './gate.ts'
import type { EdgeLimits } from './limits.ts'
import { refuseSocket } from './refuse.ts'
import type { Sockets } from './sockets.ts'

/** Makes the HTTP server: health, the procedures under /trpc, upgrades, and the web app for everything else. */
export function createEdge(options: {
  services: Services
  sockets: Sockets
  gate: Gate
  site: Site
  limits: EdgeLimits
}): Server {
  const { limits, gate, sockets } = options
  const server = createServer({
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.httpCheckIntervalMs,
    maxHeaderSize: limits.headerMaxBytes,
    keepAliveTimeout: 5_000,
  })
  server.maxConnections = limits.tcpConnectionsMax
  const trpc = procedures(options.services, limits)
  server.on('request', (request, response) => {
    const target = gate.target(request)
    if (!(target instanceof URL)) return answer(response, target.status, target.message)
    if (target.pathname.startsWith('/trpc/')) {
      const origin = gate.refusedOrigin(request)
      return origin === undefined ? trpc(request, response) : answer(response, origin.status, origin.message)
    }
    if (target.pathname === '/health') return health(response, options)
    if (target.pathname === '/ready') return ready(response, options.services)
    if (target.pathname === '/ws') return answer(response, 426, 'This is a WebSocket: connect with ws://.')
    options.site.serve(request, response)
  })
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  server.on('clientError', (_error, socket) => refuseSocket(socket, 400, 'This is not a valid HTTP request.'))
  return server
}

function procedures(services: Services, limits: EdgeLimits) {
  return createHTTPHandler({
    router: appRouter,
    basePath: '/trpc/',
    maxBodySize: limits.clientPayloadMaxBytes,
    maxBatchSize: limits.callsPerFrameMax,
    createContext: ({ req }) => contextOf(req, services),
    // The status of our own code, where the answer is to one call; tRPC's own for a batch with several.
    responseMeta: ({ errors }) => {
      const [error] = errors
      return error === undefined || errors.length > 1 ? {} : { status: ERROR_STATUS[explain(error).code] }
    },
    onError: ({ error, path }) => {
      const cause = error.cause ?? error
      if (!(cause instanceof AioError) && error.code === 'INTERNAL_SERVER_ERROR')
        services.log.error({ err: cause, call: path }, 'a call failed unexpectedly')
    },
  })
}

function contextOf(request: IncomingMessage, services: Services): Context {
  const id = ulid()
  return {
    services,
    peer: undefined,
    address: plainAddress(request.socket.remoteAddress ?? 'unknown'),
    authenticate: () => {
      const token = bearerToken(request)
      if (token === undefined)
        throw new AioError('UNAUTHORIZED', 'This request has no token. Send it as: Authorization: Bearer <token>')
      return services.tokens.verify(token)
    },
    requestId: () => id,
  }
}

function health(response: ServerResponse, { services, sockets }: { services: Services; sockets: Sockets }): void {
  const orchestrators = services.fleet.onlineCount()
  const { trouble } = services.storage
  const body = {
    status: trouble === undefined ? 'ok' : 'not writable',
    version: VERSION,
    orchestrators,
    clients: sockets.clientCount,
    uptimeS: Math.floor(process.uptime()),
    ...(trouble === undefined ? {} : { reason: `The database cannot be written: ${trouble}` }),
  }
  response.writeHead(trouble === undefined ? 200 : 503, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
  })
  response.end(JSON.stringify(body))
}

function ready(response: ServerResponse, { storage }: Services): void {
  if (storage.trouble === undefined) answer(response, 200, 'ready')
  else answer(response, 503, `The database cannot be written: ${storage.trouble}`)
}

function answer(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    Connection: status < 400 ? 'keep-alive' : 'close',
  })
  response.end(`${message}\n`)
}
