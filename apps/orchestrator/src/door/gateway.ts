import {
  createServer,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline, Transform } from 'node:stream'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'

/** The model APIs that a door can lead to. */
export type GatewayKind = 'anthropic'

/** Requests of one session under way at once. */
const REQUESTS_MAX = 64
/** Connections of one session. */
const CONNECTIONS_MAX = 256
/** Bytes of a request's header lines. */
const HEADER_BYTES_MAX = 32 * 1024
/** Bytes of one request; the API itself takes 32 MB. */
const BODY_BYTES_MAX = 40 * 1024 * 1024
/** An upstream that is silent for so long has failed, in milliseconds; the API sends pings while it thinks. */
const UPSTREAM_SILENCE_MS = 10 * 60_000
/** What the API wants to see beside an OAuth token. */
const OAUTH_BETA = 'oauth-2025-04-20'

const NO_CREDENTIAL =
  'The orchestrator has no credential for the model API. Its admin sets ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN.'

/** The calls a session's agent may make with our credential; everything else of the account stays out of its reach. */
const ALLOWED = [/^\/v1\/messages$/, /^\/v1\/messages\/count_tokens$/, /^\/v1\/models(\/[\w.:-]+)?$/]

/** Headers that are about one connection (RFC 9110), and those that carry credentials. */
const DROPPED = new Set(
  'connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade expect host x-api-key authorization cookie set-cookie forwarded x-forwarded-for'.split(
    ' ',
  ),
)

/**
 * Makes the server behind a session's door: passes calls of the model API on to the configured upstream, with the real
 * credential in place of the session's placeholder, and refuses everything else. Its errors look like the API's own.
 */
export function createGateway(_kind: GatewayKind, config: OrchestratorConfig['gateway'], log: Logger): Server {
  const upstream = new Upstream(config, log)
  let underWay = 0
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 5 * 60_000 }, (request, response) => {
    if (underWay >= REQUESTS_MAX)
      return refuse(response, 429, `This session has ${REQUESTS_MAX} requests under way already.`)
    underWay++
    response.on('close', () => underWay--)
    const path = pathOf(request)
    if (typeof path === 'string') upstream.pass(request, response, path)
    else refuse(response, 403, path.refused)
  })
  server.maxConnections = CONNECTIONS_MAX
  server.on('connect', (_request, socket) =>
    refuseSocket(socket, '403 Forbidden', 'This session has no network but the model API, so CONNECT is refused.'),
  )
  server.on('clientError', (_error, socket) => {
    // In the middle of an answer another one would only be taken for a part of it.
    if (socket instanceof Socket && socket.bytesWritten > 0) socket.destroy()
    else refuseSocket(socket, '400 Bad Request', 'This is not an HTTP request.')
  })
  server.on('close', () => upstream.close())
  return server
}

class Upstream {
  readonly #config: OrchestratorConfig['gateway']
  readonly #log: Logger
  readonly #url: URL
  readonly #agent: HttpAgent

  constructor(config: OrchestratorConfig['gateway'], log: Logger) {
    this.#config = config
    this.#log = log
    this.#url = new URL(config.upstream)
    this.#agent = this.#isTls() ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true })
  }

  pass(request: IncomingMessage, response: ServerResponse, path: string): void {
    const credential = this.#credential(request.headers['anthropic-beta'])
    if (credential === undefined) {
      refuse(response, 401, NO_CREDENTIAL)
      return
    }
    const startedAt = performance.now()
    const base = this.#url.pathname.replace(/\/$/, '')
    const options = {
      method: request.method,
      path: `${base}${path}`,
      headers: { ...passed(request.headers), ...credential },
      agent: this.#agent,
      timeout: UPSTREAM_SILENCE_MS,
    }
    const call = this.#isTls() ? httpsRequest(this.#url, options) : httpRequest(this.#url, options)
    const report = (outcome: number | string) =>
      this.#log.debug(
        { method: request.method, path, outcome, ms: Math.round(performance.now() - startedAt) },
        'gateway',
      )
    const fail = (why: string) => {
      report(why)
      call.destroy()
      // After the first bytes only a broken connection can say that the rest is missing.
      if (response.headersSent) response.destroy()
      else refuse(response, 502, `The model API cannot be reached from the orchestrator: ${why}.`)
    }
    call.on('timeout', () => call.destroy(new Error('it has been silent for too long')))
    call.on('response', (answer) => {
      report(answer.statusCode ?? 0)
      response.writeHead(answer.statusCode ?? 502, passed(answer.headers))
      response.flushHeaders()
      pipeline(answer, response, (error) => {
        if (error !== undefined && error !== null) fail(error.message)
      })
    })
    response.on('close', () => {
      if (!response.writableFinished) call.destroy()
    })
    call.on('error', (error) => {
      if (!response.destroyed && !response.writableEnded) fail(describeFailure(error))
    })
    pipeline(request, limitBytes(BODY_BYTES_MAX), call, (error) => {
      if (error instanceof TooLarge && !response.headersSent) refuse(response, 413, error.message)
    })
  }

  close(): void {
    this.#agent.destroy()
  }

  #isTls(): boolean {
    return this.#url.protocol === 'https:'
  }

  #credential(beta: string | string[] | undefined): OutgoingHttpHeaders | undefined {
    const { apiKey, oauthToken } = this.#config
    if (apiKey !== undefined) return { 'x-api-key': apiKey }
    if (oauthToken === undefined) return undefined
    const betas = new Set([
      OAUTH_BETA,
      ...[beta ?? []].flat().flatMap((list) => list.split(',').map((name) => name.trim())),
    ])
    return { authorization: `Bearer ${oauthToken}`, 'anthropic-beta': [...betas].join(',') }
  }
}

/** The path to ask for, in its plain form, or why not. */
function pathOf(request: IncomingMessage): string | { refused: string } {
  const target = request.url ?? ''
  if (!target.startsWith('/') || target.startsWith('//'))
    return { refused: 'This session has no network but the model API, so this is no proxy for other addresses.' }
  if (request.method !== 'GET' && request.method !== 'POST' && request.method !== 'HEAD')
    return { refused: `The model gateway does not pass ${request.method} on.` }
  // The parser resolves `..`, also percent-encoded, so that what is checked is what is asked for.
  const { pathname, search } = new URL(target, 'http://door')
  if (ALLOWED.some((allowed) => allowed.test(pathname))) return `${pathname}${search}`
  return { refused: `The model gateway does not pass ${pathname} on, only messages and models.` }
}

function passed(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !DROPPED.has(name) && !named.has(name)))
}

class TooLarge extends Error {}

function limitBytes(max: number): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > max) done(new TooLarge(`A request to the model API has at most ${max} bytes.`))
      else done(null, chunk)
    },
  })
}

const ERROR_TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.destroyed || response.headersSent) return
  const body = errorBody(ERROR_TYPES[status] ?? 'api_error', message)
  // The rest of the request is not read, so the connection cannot be used again.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(body)
}

function refuseSocket(socket: Duplex, status: string, message: string): void {
  socket.on('error', () => socket.destroy())
  const body = errorBody('permission_error', message)
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
  if (socket.writable) socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
}

function errorBody(type: string, message: string): string {
  return JSON.stringify({ type: 'error', error: { type, message } })
}

function describeFailure(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
