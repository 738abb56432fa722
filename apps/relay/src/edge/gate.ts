import type { IncomingMessage } from 'node:http'
import { isLoopback, plainAddress } from './addresses.ts'

/** Why a request is turned away before anything else looks at it. */
export interface Refusal {
  status: 400 | 403
  message: string
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?)(?::([0-9]{1,5}))?$/i

/** What may reach this relay: well-formed targets, expected hosts (DNS rebinding) and exact origins. */
export class Gate {
  readonly #listenHost: string
  readonly #allowedOrigins: ReadonlySet<string>
  readonly #allowedHosts: ReadonlySet<string>
  #port = 0

  constructor(options: { listenHost: string; allowedOrigins: readonly string[] }) {
    this.#listenHost = plainAddress(options.listenHost)
    this.#allowedOrigins = new Set(options.allowedOrigins)
    this.#allowedHosts = new Set(options.allowedOrigins.map((origin) => plainAddress(new URL(origin).hostname)))
  }

  /** Tells the port that the relay came to listen on. */
  listensOn(port: number): void {
    this.#port = port
  }

  /** The target of a request, or why it is refused. */
  target(request: IncomingMessage): URL | Refusal {
    const host = HOST.exec(request.headers.host ?? '')
    if (host?.[1] === undefined) return { status: 400, message: 'The Host header is missing or not valid.' }
    const raw = request.url ?? ''
    const url = raw.startsWith('/') && !raw.startsWith('//') ? URL.parse(raw, 'http://relay') : null
    if (url === null || raw.includes('\\')) return { status: 400, message: 'The request target is not a valid path.' }
    if (this.#isExpectedHost(plainAddress(host[1]), request)) return url
    return {
      status: 403,
      message: `This relay does not answer for the host ${host[1]}. If it should, add its origin to ALLOWED_ORIGINS.`,
    }
  }

  /** Why the web page that a request comes from may not make it; `undefined` when it may, or when it is not from a page. */
  refusedOrigin(request: IncomingMessage): Refusal | undefined {
    const { origin } = request.headers
    if (origin === undefined || this.#isOwnOrigin(origin, request) || this.#allowedOrigins.has(origin)) return undefined
    return {
      status: 403,
      message:
        'This web origin is not allowed. If it should be, add it to ALLOWED_ORIGINS, exactly as the browser sends it.',
    }
  }

  #isExpectedHost(host: string, request: IncomingMessage): boolean {
    return (
      isLoopback(host) || host === this.#listenHost || this.#allowedHosts.has(host) || this.#isReachedAt(host, request)
    )
  }

  // An address cannot be rebound by DNS as a name can.
  #isReachedAt(host: string, request: IncomingMessage): boolean {
    return !isLoopback(this.#listenHost) && host === plainAddress(request.socket.localAddress ?? '')
  }

  #isOwnOrigin(origin: string, request: IncomingMessage): boolean {
    const url = URL.parse(origin)
    if (url === null || url.origin !== origin || url.protocol !== 'http:') return false
    if (Number(url.port || 80) !== this.#port) return false
    const host = plainAddress(url.hostname)
    return host === 'localhost' || host === '127.0.0.1' || host === '::1' || this.#isReachedAt(host, request)
  }
}
