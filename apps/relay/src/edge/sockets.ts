import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CLOSE_CODES } from '@ai-orchestration/protocol'
import { WebSocketServer } from 'ws'
import type { Services } from '../services.ts'
import { plainAddress } from './addresses.ts'
import { Admission, type Place } from './admission.ts'
import { bearerToken } from './bearer.ts'
import { Connection, type Rooms } from './connection.ts'
import type { Gate } from './gate.ts'
import type { EdgeLimits } from './limits.ts'
import { refuseSocket } from './refuse.ts'
import { Traffic } from './traffic.ts'

/** The relay's WebSockets: who gets one, that they stay alive, and that they end with their token. */
export class Sockets {
  readonly #rooms: Rooms
  readonly #services: Services
  readonly #limits: EdgeLimits
  readonly #gate: Gate
  readonly #admission: Admission
  readonly #open = new Set<Connection>()
  readonly #forClients: WebSocketServer
  readonly #forOrchestrators: WebSocketServer
  readonly #timers: NodeJS.Timeout[]
  /** What has gone over them so far. */
  readonly traffic = new Traffic()

  constructor(options: { services: Services; limits: EdgeLimits; gate: Gate }) {
    const { services, limits } = options
    this.#services = services
    this.#limits = limits
    this.#gate = options.gate
    const { traffic } = this
    this.#rooms = { services, limits, traffic, onClosed: (connection) => this.#open.delete(connection) }
    this.#admission = new Admission(limits)
    const common = { noServer: true, perMessageDeflate: false, clientTracking: false } as const
    this.#forClients = new WebSocketServer({ ...common, maxPayload: limits.clientPayloadMaxBytes })
    this.#forOrchestrators = new WebSocketServer({ ...common, maxPayload: limits.orchestratorPayloadMaxBytes })
    this.#timers = [
      setInterval(() => this.#ping(), limits.pingIntervalMs),
      setInterval(() => this.#recheck(), limits.recheckIntervalMs),
    ]
    services.tokens.onEnded((tokenId) => {
      for (const connection of this.#open) if (connection.tokenId === tokenId) connection.logOut()
    })
  }

  /** Connections of clients that have authenticated. */
  get clientCount(): number {
    return this.census().client
  }

  /** Open sockets by who is at the other end. */
  census(): { client: number; orchestrator: number; waiting: number } {
    const census = { client: 0, orchestrator: 0, waiting: 0 }
    for (const { isAuthenticated, isOrchestrator } of this.#open)
      census[isAuthenticated ? (isOrchestrator ? 'orchestrator' : 'client') : 'waiting'] += 1
    return census
  }

  /** Calls of clients that are not answered yet, without subscriptions. */
  get callsUnderWay(): number {
    let count = 0
    for (const { callsUnderWay, isOrchestrator } of this.#open) if (!isOrchestrator) count += callsUnderWay
    return count
  }

  /** Answers an HTTP upgrade: a WebSocket, or a refusal; never an exception. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const target = this.#gate.target(request)
    if (!(target instanceof URL)) {
      refuseSocket(socket, target.status, target.message)
      return
    }
    if (target.pathname !== '/ws') {
      refuseSocket(socket, 404, 'WebSockets are served at /ws.')
      return
    }
    const origin = this.#gate.refusedOrigin(request)
    if (origin !== undefined) {
      refuseSocket(socket, origin.status, origin.message)
      return
    }
    if (this.#services.draining.isOn) {
      this.#shed(socket, 'The relay is stopping or restarting. Try again in a moment.')
      return
    }
    if (this.#open.size >= this.#limits.connectionsMax) {
      this.#shed(socket)
      return
    }
    this.#admit(request, socket, head)
  }

  /** Closes every socket, telling clients to come back. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    for (const connection of this.#open) connection.close(CLOSE_CODES.restarting, 'UNAVAILABLE: the relay is stopping')
  }

  /** Cuts what has not closed by itself. */
  terminate(): void {
    for (const connection of this.#open) connection.terminate()
  }

  #admit(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const token = bearerToken(request)
    const roles = token === undefined ? [] : this.#rolesOf(token)
    const address = plainAddress(request.socket.remoteAddress ?? 'unknown')
    const isOrchestrator = roles.includes('orchestrator') && request.headers['x-aio-role'] === 'orchestrator'
    const place = roles.length > 0 ? undefined : this.#admission.enter(address, () => socket.destroy())
    if (roles.length === 0 && place === undefined) {
      this.#shed(socket)
      return
    }
    leaveAtClose(socket, place)
    const wss = isOrchestrator ? this.#forOrchestrators : this.#forClients
    wss.handleUpgrade(request, socket, head, (ws) => {
      this.#open.add(new Connection({ rooms: this.#rooms, ws, socket, address, place, token, isOrchestrator }))
    })
  }

  #rolesOf(token: string): readonly string[] {
    try {
      return this.#services.tokens.verify(token).roles
    } catch {
      return [] // the connection presents it again and tells the client what is wrong with it
    }
  }

  #shed(socket: Duplex, why = 'The relay has too many connections just now. Try again in a moment.'): void {
    this.traffic.refused += 1
    refuseSocket(socket, 503, why, {
      'Retry-After': String(this.#limits.retryAfterS),
    })
  }

  #ping(): void {
    const asked = [...this.#open]
    for (const connection of asked) connection.ping()
    setTimeout(() => {
      for (const connection of asked) connection.cutIfSilent()
    }, this.#limits.pongDeadlineMs).unref()
  }

  #recheck(): void {
    for (const connection of this.#open) connection.recheck()
  }
}

// Also when the handshake itself fails. A function of its own, or the listener would keep the whole request in memory.
function leaveAtClose(socket: Duplex, place: Place | undefined): void {
  socket.once('close', () => place?.leave())
}
