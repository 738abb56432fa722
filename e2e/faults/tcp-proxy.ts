import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** `up` is towards the server that the proxy stands before. */
export type Direction = 'up' | 'down'

/** What the network does to bytes; absent parts do nothing. */
export interface Weather {
  /** Nothing passes in these directions, and nobody is told: what is sent waits, as behind a path that drops packets. */
  stalls?: readonly Direction[]
  /** Waits so long before each piece, in milliseconds. */
  delayMs?: () => number
  /** Writes the first bytes of each piece one at a time, and the rest in two. */
  isSliced?: boolean
  /** Passes no more than this. */
  bytesPerSecond?: number
  /** Takes new connections and leads them nowhere. */
  hangs?: boolean
}

interface Pair {
  client: Socket
  server: Socket | undefined
}

const SLICED_BYTES = 64 // one by one; more only costs time

/** A TCP proxy that can be a bad network: slow, silent, cutting, half closed. It never ends a connection by itself. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #targetPort: number
  readonly #pairs = new Set<Pair>()
  #weather: Weather = {}
  #changed = Promise.withResolvers<void>()
  #cutsNext = false

  private constructor(targetPort: number) {
    this.#targetPort = targetPort
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#take(client))
  }

  /** Listens on a free port of the loopback, before a port of the loopback. */
  static async before(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
    return address.port
  }

  /** The relay's WebSocket as seen through this proxy. */
  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}/ws`
  }

  /** Connections that are open. */
  get size(): number {
    return this.#pairs.size
  }

  /** Changes the weather, for open and for new connections. */
  set weather(weather: Weather) {
    this.#weather = weather
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
    if (weather.hangs !== true) for (const pair of this.#pairs) if (pair.server === undefined) end(pair)
  }

  /** Resets every connection (RST) at once. */
  reset(): void {
    for (const pair of this.#pairs) end(pair)
  }

  /** Resets every connection (RST) as soon as half of some piece has passed. */
  cutNext(): void {
    this.#cutsNext = true
  }

  /** Ends one direction of every connection (FIN); the other one stays open. */
  halfClose(direction: Direction): void {
    for (const { client, server } of this.#pairs) (direction === 'up' ? server : client)?.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.weather = {}
    this.reset()
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #take(client: Socket): void {
    client.on('error', () => undefined)
    const pair: Pair = { client, server: undefined }
    this.#pairs.add(pair)
    client.once('close', () => this.#closed(pair))
    if (this.#weather.hangs === true) return
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    pair.server = server
    server.on('error', () => undefined) // told by what reads it, when the weather lets it
    server.once('close', () => this.#closed(pair))
    void this.#pass('up', client, server, pair)
    void this.#pass('down', server, client, pair)
  }

  #closed(pair: Pair): void {
    if (pair.client.closed && pair.server?.closed !== false) this.#pairs.delete(pair)
  }

  async #pass(direction: Direction, from: Socket, to: Socket, pair: Pair): Promise<void> {
    try {
      for await (const piece of from.iterator({ destroyOnReturn: false })) await this.#forward(direction, piece, to)
      await this.#untilPasses(direction)
      to.end()
    } catch {
      await this.#untilPasses(direction) // whoever is cut off is told by the network, which just now says nothing
      end(pair)
    }
  }

  async #forward(direction: Direction, piece: Buffer, to: Socket): Promise<void> {
    const { delayMs, isSliced, bytesPerSecond } = this.#weather
    if (delayMs !== undefined) await sleep(delayMs())
    if (bytesPerSecond !== undefined) await sleep((piece.length / bytesPerSecond) * 1_000)
    await this.#untilPasses(direction)
    if (this.#cutsNext) {
      this.#cutsNext = false
      to.write(piece.subarray(0, Math.ceil(piece.length / 2)))
      await sleep(1)
      this.reset()
      return
    }
    const parts = isSliced === true ? sliced(piece) : [piece]
    for (const part of parts) {
      if (!to.writable) return
      if (!to.write(part)) await Promise.race([once(to, 'drain'), once(to, 'close')])
      if (isSliced === true) await sleep(0)
    }
  }

  async #untilPasses(direction: Direction): Promise<void> {
    while (this.#weather.stalls?.includes(direction) === true) await this.#changed.promise
  }
}

function sliced(piece: Buffer): Buffer[] {
  const parts: Buffer[] = []
  const single = Math.min(piece.length, SLICED_BYTES)
  for (let at = 0; at < single; at += 1) parts.push(piece.subarray(at, at + 1))
  const rest = piece.subarray(single)
  const half = rest.length >> 1
  return [...parts, rest.subarray(0, half), rest.subarray(half)].filter(({ length }) => length > 0)
}

function end({ client, server }: Pair): void {
  client.resetAndDestroy()
  server?.resetAndDestroy()
}
