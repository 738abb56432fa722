import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'
import type { EgressRecord } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { DialError, type Dialer } from './dialer.ts'
import type { EgressLog } from './egress-log.ts'
import type { EgressPolicy } from './egress-policy.ts'
import { passedHeaders } from './headers.ts'
import { formatTarget, parseTarget, type Target } from './target.ts'

/** Requests and tunnels of one session under way at once, those on hold included. */
const UNDER_WAY_MAX = 128
/** A connection on which nothing moves for so long is closed, in milliseconds. */
const IDLE_MS = 10 * 60_000
/** Bytes that a client may send before its tunnel is open; a TLS hello is far smaller. */
const EARLY_BYTES_MAX = 64 * 1024

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** What one session's proxy works with. */
export interface EgressServices {
  policy: EgressPolicy
  dialer: Dialer
  egressLog: EgressLog
  log: Logger
}

/**
 * The way out of one session to other hosts than the model API: CONNECT, and plain HTTP with a whole URL. Each request is
 * decided on by itself, and each has a connection of its own to the host that it was decided for.
 */
export class EgressProxy {
  readonly #services: EgressServices
  readonly #open = new Set<AbortController>()

  constructor(services: EgressServices) {
    this.#services = services
  }

  /** Serves a request whose target is a whole URL. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const read = readRequest(request)
    const exchange = this.#begin(request.method ?? '', 'refused' in read ? undefined : read.target)
    response.on('close', () => exchange.abort.abort())
    const refuse = (status: number, reason: string) => {
      exchange.end('denied', reason, status)
      answer(response, status, reason)
    }
    if ('refused' in read) {
      refuse(400, read.refused)
      return
    }
    if (this.#open.size > UNDER_WAY_MAX) {
      refuse(429, tooMany())
      return
    }
    void this.#connection(read.target, 'http', exchange).then((outcome) => {
      if ('socket' in outcome) pass(request, response, { ...read, ...outcome, exchange })
      else if (!response.destroyed) answer(response, outcome.status, outcome.reason)
    })
  }

  /** Serves a CONNECT: bytes both ways once the host is decided on. */
  connect(request: IncomingMessage, client: Duplex, head: Buffer): void {
    client.on('error', () => client.destroy())
    const target = parseTarget(request.url ?? '')
    const host = parseTarget(hostHeader(request) ?? '', target?.port)
    const exchange = this.#begin('CONNECT', target)
    client.on('close', () => exchange.abort.abort())
    const refuse = (status: number, reason: string) => {
      exchange.end('denied', reason, status)
      answerSocket(client, status, reason)
    }
    if (target === undefined) {
      refuse(400, 'CONNECT takes a plain host and port')
      return
    }
    if (host === undefined || formatTarget(host) !== formatTarget(target)) {
      refuse(400, 'the Host header names another host than the request')
      return
    }
    if (this.#open.size > UNDER_WAY_MAX) {
      refuse(429, tooMany())
      return
    }
    const early = new EarlyBytes(client, head)
    void this.#connection(target, 'https', exchange).then((outcome) => {
      if ('socket' in outcome) tunnel(client, outcome.socket, early, exchange)
      else answerSocket(client, outcome.status, outcome.reason)
    })
  }

  /** Ends everything that is under way. */
  close(): void {
    for (const abort of this.#open) abort.abort()
  }

  async #connection(
    target: Target,
    protocol: 'https' | 'http',
    exchange: Exchange,
  ): Promise<{ socket: Socket } | { status: number; reason: string }> {
    const { signal } = exchange.abort
    try {
      const decision = await this.#services.policy.decide(target, protocol, signal)
      if (!decision.isAllowed) {
        exchange.end('denied', decision.reason, 403)
        return { status: 403, reason: decision.reason }
      }
      const socket = await this.#services.dialer.dial(target, signal)
      socket.on('error', () => socket.destroy())
      socket.setTimeout(IDLE_MS, () => socket.destroy())
      exchange.count(socket)
      return { socket }
    } catch (error) {
      if (signal.aborted) {
        exchange.end('failed', 'the session hung up')
        return { status: 499, reason: 'the session hung up' }
      }
      const isRefused = error instanceof DialError && error.isRefused
      const reason = error instanceof DialError ? error.message : 'the orchestrator failed at this request'
      if (!(error instanceof DialError)) this.#services.log.error({ err: error }, 'a request of a session failed')
      const status = isRefused ? 403 : 502
      exchange.end(isRefused ? 'denied' : 'failed', reason, status)
      return { status, reason }
    }
  }

  #begin(method: string, target: Target | undefined): Exchange {
    const exchange = new Exchange(method, target, this.#services.egressLog)
    this.#open.add(exchange.abort)
    exchange.abort.signal.addEventListener('abort', () => this.#open.delete(exchange.abort), { once: true })
    return exchange
  }
}

/** One request from its first byte to its last, for the log. */
class Exchange {
  /** Aborted when the session has hung up, or nothing more follows. */
  readonly abort = new AbortController()
  readonly #record: Pick<EgressRecord, 'at' | 'host' | 'port' | 'method'>
  readonly #log: EgressLog
  readonly #startedAt = performance.now()
  #socket: Socket | undefined
  #hasEnded = false

  constructor(method: string, target: Target | undefined, log: EgressLog) {
    const { host, port } = target ?? { host: '?', port: 0 }
    this.#record = { at: new Date().toISOString(), host, port, method: method.slice(0, 20) }
    this.#log = log
  }

  /** Bytes are those of this connection to the host. */
  count(socket: Socket): void {
    this.#socket = socket
  }

  /** Writes it down, once. */
  end(verdict: EgressRecord['verdict'], reason?: string, status?: number): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#log.add({
      ...this.#record,
      verdict,
      ...(reason === undefined ? {} : { reason: reason.slice(0, 500) }),
      ...(status === undefined ? {} : { status }),
      bytesUp: this.#socket?.bytesWritten ?? 0,
      bytesDown: this.#socket?.bytesRead ?? 0,
      ms: Math.round(performance.now() - this.#startedAt),
    })
    this.abort.abort()
  }
}

/** What a client sends while it waits, and whether it still waits. */
class EarlyBytes {
  readonly #client: Duplex
  readonly #chunks: Buffer[]
  readonly #keep = (chunk: Buffer) => {
    this.#chunks.push(chunk)
    if (this.#chunks.reduce((sum, { length }) => sum + length, 0) > EARLY_BYTES_MAX) this.#client.destroy()
  }
  readonly #hangUp = () => this.#client.destroy()

  constructor(client: Duplex, head: Buffer) {
    this.#client = client
    this.#chunks = [head]
    client.on('data', this.#keep)
    // Who ends before it has an answer does not want one.
    client.on('end', this.#hangUp)
  }

  take(): Buffer {
    this.#client.off('data', this.#keep)
    this.#client.off('end', this.#hangUp)
    this.#client.pause()
    return Buffer.concat(this.#chunks)
  }
}

function tunnel(client: Duplex, upstream: Socket, early: EarlyBytes, exchange: Exchange): void {
  if (client.destroyed) {
    upstream.destroy()
    exchange.end('failed', 'the session hung up')
    return
  }
  exchange.abort.signal.addEventListener('abort', () => [client, upstream].map((socket) => socket.destroy()), {
    once: true,
  })
  const first = early.take()
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
  if (first.length > 0) upstream.write(first)
  let open = 2
  const done = () => {
    open--
    if (open === 0) exchange.end('allowed')
  }
  // Each direction ends by itself; a broken one takes the other along.
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const)
    pipeline(from, to, (error) => {
      if (error !== undefined && error !== null) {
        client.destroy()
        upstream.destroy()
      }
      done()
    })
}

interface Passage {
  target: Target
  path: string
  socket: Socket
  exchange: Exchange
}

function pass(request: IncomingMessage, response: ServerResponse, passage: Passage): void {
  const { target, path, socket, exchange } = passage
  if (response.destroyed) {
    socket.destroy()
    exchange.end('failed', 'the session hung up')
    return
  }
  exchange.abort.signal.addEventListener('abort', () => socket.destroy(), { once: true })
  const isChunked = request.headers['transfer-encoding'] !== undefined
  const call = httpRequest({
    method: request.method ?? 'GET',
    path,
    setHost: false,
    headers: {
      ...passedHeaders(request.headers),
      host: target.port === 80 ? formatTarget(target).replace(/:80$/, '') : formatTarget(target),
      // What has a body says how long it is, whatever the method: nothing of it may be read as another request.
      ...(isChunked ? { 'transfer-encoding': 'chunked' } : {}),
      connection: 'close',
    },
    createConnection: () => socket,
  })
  const fail = (why: string) => {
    exchange.end('failed', why)
    socket.destroy()
    // After the first bytes only a broken connection can say that the rest is missing.
    if (response.headersSent) response.destroy()
    else answer(response, 502, why)
  }
  response.on('close', () => {
    if (!response.writableFinished) socket.destroy()
  })
  call.on('response', (reply) => {
    response.writeHead(reply.statusCode ?? 502, passedHeaders(reply.headers))
    response.flushHeaders()
    pipeline(reply, response, (error) => {
      if (error !== undefined && error !== null) fail(error.message)
      else exchange.end('allowed', undefined, reply.statusCode)
      socket.destroy()
    })
  })
  call.on('error', (error) => fail(`${formatTarget(target)} did not answer: ${error.message}`))
  pipeline(request, call, () => undefined)
}

/** The host and path that a request is for, or why it is refused. */
function readRequest(request: IncomingMessage): { target: Target; path: string } | { refused: string } {
  if (!METHODS.has(request.method ?? '')) return { refused: `this proxy does not pass ${request.method} on` }
  if (request.headers.upgrade !== undefined) return { refused: 'an upgrade goes through CONNECT only' }
  const match = /^http:\/\/([^/?#]*)([/?][^#]*)?$/i.exec(request.url ?? '')
  const target = parseTarget(match?.[1] ?? '', 80)
  if (match === null || target === undefined)
    return { refused: 'the URL is not plain: http://host/path without user, password and fragment' }
  const host = parseTarget(hostHeader(request) ?? '', 80)
  if (host === undefined || formatTarget(host) !== formatTarget(target))
    return { refused: 'the Host header names another host than the URL' }
  const encoding = request.headers['transfer-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked')
    return { refused: 'only chunked is a transfer encoding here' }
  const path = match[2] ?? '/'
  return { target, path: path.startsWith('?') ? `/${path}` : path }
}

/** The Host header, when there is exactly one. */
function hostHeader({ rawHeaders }: IncomingMessage): string | undefined {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'host')
  return values.length === 1 ? values[0] : undefined
}

function answer(response: ServerResponse, status: number, reason: string): void {
  if (response.destroyed || response.headersSent) return
  // The rest of the request is not read, so the connection cannot be used again.
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
  response.end(bodyOf(reason))
}

const REASON_PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  429: 'Too Many Requests',
  502: 'Bad Gateway',
}

function answerSocket(socket: Duplex, status: number, reason: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = bodyOf(reason)
  const head = `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? 'Error'}\r\ncontent-type: text/plain; charset=utf-8`
  socket.resume()
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}

function bodyOf(reason: string): string {
  return `The door of this session: ${reason}.\n`
}

function tooMany(): string {
  return `this session has ${UNDER_WAY_MAX} requests under way already`
}
