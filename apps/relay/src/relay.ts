import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AioError } from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { bootstrapToken } from './auth/bootstrap-token.ts'
import { FailureLimit } from './auth/failure-limit.ts'
import { LoginCodes } from './auth/login-codes.ts'
import { Tokens } from './auth/tokens.ts'
import { Commands } from './command/commands.ts'
import { Lifecycle } from './command/lifecycle.ts'
import { MemoryLedger } from './command/memory-ledger.ts'
import type { RelayConfig } from './config.ts'
import { Watch } from './delivery/watch.ts'
import { isLoopback } from './edge/addresses.ts'
import { Gate } from './edge/gate.ts'
import { createEdge } from './edge/http.ts'
import { EDGE_LIMITS, type EdgeLimits } from './edge/limits.ts'
import { Sockets } from './edge/sockets.ts'
import { Fleet } from './fleet/fleet.ts'
import { LinkBook } from './fleet/link-book.ts'
import { Links } from './fleet/links.ts'
import { MemoryJournal, type Retention } from './journal/memory-journal.ts'
import type { Services } from './services.ts'
import { Streams } from './stream/streams.ts'
import { Site } from './web/site.ts'

/** What a test may give in place of the real thing. */
export interface RelayOptions {
  limits?: Partial<EdgeLimits>
  retention?: Partial<Retention>
}

/** A relay that listens. */
export interface Relay {
  /** Where people and clients reach it, such as `http://localhost:3000`. */
  readonly url: string
  readonly services: Services
  /** Closes every socket with 1012 and stops, within two seconds. */
  close(): Promise<void>
}

const FAILED_LOGINS = { max: 10, windowMs: 60_000 } // per address; a right credential passes even then

/**
 * Puts the rooms together and listens.
 *
 * @throws AioError when it cannot start, with what to do about it.
 */
export async function startRelay(config: RelayConfig, log: Logger, options: RelayOptions = {}): Promise<Relay> {
  const limits: EdgeLimits = { ...EDGE_LIMITS, ...options.limits }
  const services = await openServices(config, log, options)
  const gate = new Gate({ listenHost: config.host, allowedOrigins: config.allowedOrigins })
  const sockets = new Sockets({ services, limits, gate })
  const site = await Site.open(config.webDir)
  const server = createEdge({ services, sockets, gate, site, limits })
  let port: number
  try {
    port = await listen(server, config)
  } catch (error) {
    sockets.stop()
    throw error
  }
  gate.listensOn(port)
  return { url: urlOf(config.host, port), services, close: () => close(server, sockets, limits.closeGraceMs) }
}

async function openServices(config: RelayConfig, log: Logger, options: RelayOptions): Promise<Services> {
  const { aioHome, host, authToken } = config
  const bootstrap = await bootstrapToken({ aioHome, host, given: authToken })
  const tokens = await Tokens.open({ aioHome, bootstrap })
  const journal = new MemoryJournal(options.retention === undefined ? {} : { retention: options.retention })
  const fleet = new Fleet({ journal })
  const book = new LinkBook()
  const ledger = new MemoryLedger()
  const lifecycle = new Lifecycle({ fleet, book, journal, ledger })
  return {
    log,
    tokens,
    codes: new LoginCodes(),
    exchangeFailures: new FailureLimit(FAILED_LOGINS),
    journal,
    fleet,
    links: new Links({ book, fleet, lifecycle, log }),
    commands: new Commands({ fleet, ledger, lifecycle }),
    watch: new Watch({ journal, fleet }),
    streams: new Streams({ fleet, book }),
  }
}

function listen(server: Server, { host, port }: RelayConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explainListenError(error, host, port)))
    server.listen(port, host, () => {
      server.on('error', () => server.close())
      resolve(portOf(server.address()))
    })
  })
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new AioError('INTERNAL', 'The server has no port.')
  return address.port
}

function explainListenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE')
    return new AioError(
      'CONFLICT',
      `Port ${port} on ${host} is taken by another program. Choose another one, for example PORT=${port + 1}, or PORT=0 for a free one.`,
    )
  if (error.code === 'EACCES')
    return new AioError(
      'FORBIDDEN',
      `This user may not listen on port ${port}. Choose one above 1023, for example PORT=3000.`,
    )
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return new AioError(
      'INVALID_INPUT',
      `HOST=${host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.`,
    )
  return error
}

function urlOf(host: string, port: number): string {
  if (isLoopback(host) || host === '0.0.0.0' || host === '::') return `http://localhost:${port}`
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function close(server: Server, sockets: Sockets, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  sockets.stop()
  server.closeIdleConnections()
  const cut = setTimeout(() => {
    sockets.terminate()
    server.closeAllConnections()
  }, graceMs)
  await closed
  clearTimeout(cut)
}
