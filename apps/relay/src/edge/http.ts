import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  AioError,
  commandIdSchema,
  ERROR_STATUS,
  type Principal,
  toAioError,
  VERSION,
} from '@ai-orchestration/protocol'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { ulid } from 'ulid'
import { tooFast } from '../auth/call-rates.ts'
import type { Context } from '../context.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { allows } from '../router/access.ts'
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

/** The relay's HTTP server, and how busy it is. */
export interface Edge {
  readonly server: Server
  /** Calls over HTTP that are not answered yet. */
  readonly callsUnderWay: number
}

/** Makes the HTTP server: health, the procedures under /trpc, upgrades, and the web app for everything else. */
export function createEdge(options: {
  services: Services
  sockets: Sockets
  gate: Gate
  site: Site
  limits: EdgeLimits
  metrics: Metrics
}): Edge {
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
  let callsUnderWay = 0
  const call = (request: IncomingMessage, response: ServerResponse) => {
    callsUnderWay += 1
    response.once('close', () => {
      callsUnderWay -= 1
    })
    trpc(request, response)
  }
  server.on('request', (request, response) => {
    const target = gate.target(request)
    if (!(target instanceof URL)) return answer(response, target.status, target.message)
    if (target.pathname.startsWith('/trpc/')) {
      const origin = gate.refusedOrigin(request)
      return origin === undefined ? call(request, response) : answer(response, origin.status, origin.message)
    }
    if (target.pathname === '/health') return health(response, options)
    if (target.pathname === '/ready') return ready(response, options)
    if (target.pathname === '/metrics') return void metrics(request, response, options)
    if (target.pathname === '/ws') return answer(response, 426, 'This is a WebSocket: connect with ws://.')
    options.site.serve(request, response)
  })
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  server.on('clientError', (_error, socket) => refuseSocket(socket, 400, 'This is not a valid HTTP request.'))
  return {
    server,
    get callsUnderWay() {
      return callsUnderWay
    },
  }
}

function procedures(services: Services, limits: EdgeLimits) {
  return createHTTPHandler({
    router: appRouter,
    basePath: '/trpc/',
    maxBodySize: limits.clientPayloadMaxBytes,
    maxBatchSize: limits.callsPerFrameMax,
    createContext: ({ req, info }) => contextOf(req, { services, calls: info.calls.length }),
    // The status of our own code, where the answer is to one call; tRPC's own for a batch with several.
    responseMeta: ({ errors }) => {
      const [error] = errors
      if (error === undefined || errors.length > 1) return {}
      const { code, details } = explain(error)
      const status = ERROR_STATUS[code]
      const retryAfterMs = details?.['retryAfterMs']
      const retryAfterS = typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1_000) : limits.retryAfterS
      return status === 503 || code === 'LIMIT'
        ? { status, headers: { 'Retry-After': String(retryAfterS) } }
        : { status }
    },
    onError: ({ error, path }) => {
      const cause = error.cause ?? error
      if (!(cause instanceof AioError) && error.code === 'INTERNAL_SERVER_ERROR')
        services.log.error({ err: cause, call: path }, 'a call failed unexpectedly')
    },
  })
}

// Throws when the calls come too fast; tRPC answers each of them with that.
function contextOf(request: IncomingMessage, { services, calls }: { services: Services; calls: number }): Context {
  const address = plainAddress(request.socket.remoteAddress ?? 'unknown')
  const identity = identify(request, services)
  const waitMs = services.rates.take(identity instanceof AioError ? undefined : identity, address, calls)
  if (waitMs > 0) throw AioError.fromWire(tooFast(waitMs))
  return {
    services,
    peer: undefined,
    address,
    authenticate: () => {
      if (identity instanceof AioError) throw identity
      return services.tokens.recheck(identity.tokenId)
    },
    givenId: givenId(request),
    requestId: () => ulid(),
  }
}

function identify(request: IncomingMessage, services: Services): Principal | AioError {
  const token = bearerToken(request)
  if (token === undefined)
    return new AioError('UNAUTHORIZED', 'This request has no token. Send it as: Authorization: Bearer <token>')
  try {
    return services.tokens.verify(token)
  } catch (error) {
    return toAioError(error)
  }
}

/** What the caller calls this request, where it is of the one form that goes everywhere. */
function givenId(request: IncomingMessage): string | undefined {
  return commandIdSchema.safeParse(request.headers['x-request-id']).data
}

interface HealthOptions {
  services: Services
  sockets: Sockets
  limits: EdgeLimits
}

function health(response: ServerResponse, { services, sockets, limits }: HealthOptions): void {
  const trouble = troubleOf(services)
  const body = {
    status: trouble?.status ?? 'ok',
    version: VERSION,
    orchestrators: services.fleet.onlineCount(),
    clients: sockets.clientCount,
    uptimeS: Math.floor(process.uptime()),
    ...(trouble === undefined ? {} : { reason: trouble.reason }),
  }
  response.writeHead(trouble === undefined ? 200 : 503, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...(trouble === undefined ? {} : { 'Retry-After': limits.retryAfterS }),
  })
  response.end(JSON.stringify(body))
}

function ready(response: ServerResponse, { services, limits }: HealthOptions): void {
  const trouble = troubleOf(services)
  if (trouble === undefined) answer(response, 200, 'ready')
  else answer(response, 503, trouble.reason, { 'Retry-After': limits.retryAfterS })
}

async function metrics(
  request: IncomingMessage,
  response: ServerResponse,
  { services, metrics }: { services: Services; metrics: Metrics },
): Promise<void> {
  try {
    mayRead(request, services)
    const { contentType, body } = await metrics.text()
    response.writeHead(200, { 'Content-Type': contentType, 'Cache-Control': 'no-store' })
    response.end(body)
  } catch (error) {
    const { code, message } = toAioError(error)
    if (code === 'INTERNAL') services.log.error({ err: error }, 'the metrics could not be made')
    answer(response, ERROR_STATUS[code], message, code === 'UNAUTHORIZED' ? { 'WWW-Authenticate': 'Bearer' } : {})
  }
}

function mayRead(request: IncomingMessage, { tokens }: Services): void {
  const token = bearerToken(request)
  if (token === undefined)
    throw new AioError(
      'UNAUTHORIZED',
      'Metrics need a token. Make one with: aio tokens create --role viewer --name prometheus; and send it as: Authorization: Bearer <token>',
    )
  if (!allows(tokens.verify(token).roles, 'viewer'))
    throw new AioError('FORBIDDEN', 'Metrics need a token of the role viewer, operator or admin.')
}

/** Why clients should be sent elsewhere for now. */
function troubleOf({ draining, storage }: Services): { status: string; reason: string } | undefined {
  if (draining.isOn) return { status: 'draining', reason: 'The relay is stopping or restarting.' }
  if (storage.trouble === undefined) return undefined
  return { status: 'not writable', reason: `The database cannot be written: ${storage.trouble}` }
}

function answer(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string | number> = {},
): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    Connection: status < 400 ? 'keep-alive' : 'close',
    ...headers,
  })
  response.end(`${message}\n`)
}
