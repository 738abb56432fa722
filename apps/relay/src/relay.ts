import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { DurableAudit } from './audit/durable-audit.ts'
import { MemoryAudit } from './audit/memory-audit.ts'
import { bootstrapToken } from './auth/bootstrap-token.ts'
import { CallRates } from './auth/call-rates.ts'
import { FailureLimit } from './auth/failure-limit.ts'
import { HostGuard } from './auth/host-guard.ts'
import { LoginCodes } from './auth/login-codes.ts'
import { TokenFile } from './auth/token-file.ts'
import { TokenTable } from './auth/token-table.ts'
import { Tokens } from './auth/tokens.ts'
import { Commands } from './command/commands.ts'
import { DurableLedger } from './command/durable-ledger.ts'
import { Lifecycle } from './command/lifecycle.ts'
import { MemoryLedger } from './command/memory-ledger.ts'
import type { RelayConfig } from './config.ts'
import { Watch } from './delivery/watch.ts'
import { isLoopback } from './edge/addresses.ts'
import { Draining } from './edge/draining.ts'
import { Gate } from './edge/gate.ts'
import { createEdge } from './edge/http.ts'
import { EDGE_LIMITS, type EdgeLimits } from './edge/limits.ts'
import { withinOpenFiles } from './edge/open-files.ts'
import { Sockets } from './edge/sockets.ts'
import { Fleet } from './fleet/fleet.ts'
import { loadFleet, loadQuestions } from './fleet/fleet-record.ts'
import { LinkBook } from './fleet/link-book.ts'
import { firstLinkEpoch } from './fleet/link-epoch.ts'
import { Links } from './fleet/links.ts'
import { marksInMemory, TakenTable } from './fleet/taken.ts'
import { Inbox } from './inbox/inbox.ts'
import { DurableJournal } from './journal/durable-journal.ts'
import { MemoryJournal } from './journal/memory-journal.ts'
import { Calls } from './metrics/calls.ts'
import { Endings } from './metrics/endings.ts'
import { Metrics } from './metrics/metrics.ts'
import type { Services } from './services.ts'
import type { EventRetention } from './store/messages.ts'
import { type BacklogLimits, Store } from './store/store.ts'
import { StoreTally } from './store/store-tally.ts'
import { Streams } from './stream/streams.ts'
import { Site } from './web/site.ts'

/** What a test may give in place of the real thing. */
export interface RelayOptions {
  limits?: Partial<EdgeLimits>
  retention?: Partial<EventRetention>
  /** How the database is written; tests give a slow disk and small queues. */
  disk?: { backlog?: Partial<BacklogLimits>; reserveBytes?: number; commitDelayMs?: number }
  /** Keeps nothing on disk but tokens: for measurements of what keeping costs. */
  inMemory?: boolean
}

/** A relay that listens. */
export interface Relay {
  /** Where people and clients reach it, such as `http://localhost:3000`. */
  readonly url: string
  readonly services: Services
  /**
   * Takes nothing new, lets calls that are under way end for as long as the configuration says, then closes every socket with
   * 1012 and stops, within two seconds more.
   */
  close(): Promise<void>
}

const FAILED_LOGINS = { max: 10, windowMs: 60_000 } // per address; a right credential passes even then
const KEPT_REFUSALS = { max: 60, windowMs: 60_000 } // per token; all of them are in the log

/**
 * Puts the rooms together and listens.
 *
 * @throws AioError when it cannot start, with what to do about it.
 */
export async function startRelay(config: RelayConfig, log: Logger, options: RelayOptions = {}): Promise<Relay> {
  const limits = withinOpenFiles({ ...EDGE_LIMITS, ...options.limits })
  const draining = new Draining(limits.retryAfterS)
  const { services, close: closeRooms } = await openServices(config, log, { ...options, draining })
  const gate = new Gate({ listenHost: config.host, allowedOrigins: config.allowedOrigins })
  const sockets = new Sockets({ services, limits, gate })
  const site = await Site.open(config.webDir)
  const edge = createEdge({ services, sockets, gate, site, limits, metrics: new Metrics({ services, sockets }) })
  const { server } = edge
  let port: number
  try {
    port = await listen(server, config)
  } catch (error) {
    sockets.stop()
    await closeRooms()
    throw error
  }
  gate.listensOn(port)
  const stop = async () => {
    draining.begin()
    await draining.untilIdle(() => sockets.callsUnderWay + edge.callsUnderWay, config.drainMs)
    await close(server, sockets, limits.closeGraceMs)
    await closeRooms()
  }
  return { url: urlOf(config.host, port), services, close: stop }
}

interface Rooms {
  services: Services
  /** Writes what is waiting and lets go of the files. */
  close(): Promise<void>
}

async function openServices(
  config: RelayConfig,
  log: Logger,
  options: RelayOptions & { draining: Draining },
): Promise<Rooms> {
  const { aioHome, host, authToken } = config
  const bootstrap = await bootstrapToken({ aioHome, host, given: authToken })
  const kept = options.inMemory === true ? inMemory(aioHome) : await onDisk(config, log, options)
  try {
    const { journal, ledger, audit, storage } = kept
    const tokens = await Tokens.open({ storage: kept.tokens, bootstrap })
    const hostGuard = new HostGuard({ tokens })
    const fleet = new Fleet({ journal })
    fleet.restore(kept.fleet)
    const inbox = new Inbox({ journal })
    inbox.restore(kept.questions)
    kept.onShed(() => fleet.missed())
    const book = new LinkBook(kept.linkEpoch)
    const endings = new Endings()
    const lifecycle = new Lifecycle({ fleet, book, journal, ledger, endings })
    lifecycle.restore()
    const services: Services = {
      log,
      draining: options.draining,
      storage,
      calls: new Calls(),
      endings,
      audit,
      tokens,
      codes: new LoginCodes(),
      exchangeFailures: new FailureLimit(FAILED_LOGINS),
      refusals: new FailureLimit(KEPT_REFUSALS),
      hostGuard,
      rates: new CallRates(config.callsPerSecond),
      journal,
      fleet,
      inbox,
      links: new Links({ book, guard: hostGuard, fleet, inbox, journal, lifecycle, marks: kept.marks, log }),
      commands: new Commands({ fleet, inbox, ledger, lifecycle }),
      watch: new Watch({ journal, fleet, inbox }),
      streams: new Streams({ fleet, book }),
    }
    return { services, close: kept.close }
  } catch (error) {
    await kept.close()
    throw error
  }
}

async function onDisk({ aioHome, retention }: RelayConfig, log: Logger, options: RelayOptions) {
  const path = join(aioHome, 'relay/relay.db')
  const store = await Store.open({ path, retention: { ...retention, ...options.retention }, log, ...options.disk })
  return {
    storage: store,
    journal: new DurableJournal({ store }),
    ledger: new DurableLedger({ store }),
    audit: new DurableAudit({ store }),
    tokens: new TokenTable({ store, aioHome }),
    fleet: loadFleet(store),
    questions: loadQuestions(store),
    marks: new TakenTable(store),
    linkEpoch: await firstLinkEpoch(store),
    onShed: (listener: () => void) => store.onShed(listener),
    close: () => store.close(),
  }
}

function inMemory(aioHome: string) {
  return {
    storage: {
      trouble: undefined,
      backlog: 0,
      tally: new StoreTally(),
      isCongested: false,
      room: () => Promise.resolve(),
    },
    onShed: () => undefined,
    journal: new MemoryJournal(),
    ledger: new MemoryLedger(),
    audit: new MemoryAudit(),
    tokens: new TokenFile(join(aioHome, 'relay/tokens.json')),
    fleet: { orchestrators: [], projects: [], sessions: [] },
    questions: [],
    marks: marksInMemory(),
    linkEpoch: Date.now(),
    close: () => Promise.resolve(),
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
