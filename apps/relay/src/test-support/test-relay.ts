import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Role, Scope } from '@ai-orchestration/protocol'
import { createTRPCClient, createWSClient, type TRPCClient, wsLink } from '@trpc/client'
import { pino } from 'pino'
import { WebSocket } from 'ws'
import type { RelayConfig } from '../config.ts'
import { type Relay, type RelayOptions, startRelay } from '../relay.ts'
import type { AppRouter } from '../router/index.ts'

/** The AUTH_TOKEN of every relay in tests. */
export const ROOT_TOKEN = 'test-root-token-0123456789-0123456789'

/** A stock client on one socket. */
export interface TestClient extends AsyncDisposable {
  call: TRPCClient<AppRouter>
  /** Close codes of its sockets, in order. */
  closes: number[]
  opens: () => number
}

/** A real relay on a free port, in a home of its own. */
export class TestRelay {
  readonly relay: Relay
  readonly home: string
  readonly #keepHome: boolean

  private constructor(relay: Relay, home: string, keepHome: boolean) {
    this.relay = relay
    this.home = home
    this.#keepHome = keepHome
  }

  static async start(
    options: RelayOptions & { home?: string; port?: number; config?: Partial<RelayConfig> } = {},
  ): Promise<TestRelay> {
    const home = options.home ?? (await mkdtemp(join(tmpdir(), 'aio-relay-test-')))
    const config: RelayConfig = {
      port: options.port ?? 0,
      host: '127.0.0.1',
      authToken: ROOT_TOKEN,
      allowedOrigins: ['https://aio.example.org'],
      aioHome: home,
      retention: { maxEvents: 1_000_000, maxBytes: 2 ** 30, maxAgeMs: 7 * 24 * 3_600_000 },
      drainMs: 0,
      callsPerSecond: { perToken: 1_000, perAddress: 50_000 },
      logLevel: 'silent',
      webDir: join(home, 'web'),
      isSupervised: false,
      ...options.config,
    }
    const disk = { reserveBytes: 64 * 1024, ...options.disk } // each test makes its own
    const relay = await startRelay(config, pino({ level: 'silent' }), { ...options, disk })
    return new TestRelay(relay, home, options.home !== undefined)
  }

  get port(): number {
    return Number(new URL(this.relay.url).port)
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}/ws`
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** A token of a role. */
  async token(role: Role, ttlMs?: number, scope: Scope = {}): Promise<{ token: string; id: string }> {
    const { token, info } = await this.relay.services.tokens.create({ role, name: `test ${role}`, ttlMs, ...scope })
    return { token, id: info.id }
  }

  /** A stock tRPC client; with `headers` the token goes with the upgrade, else as connectionParams. */
  client(token: string | undefined = ROOT_TOKEN, options: { headers?: Record<string, string> } = {}): TestClient {
    const closes: number[] = []
    let opens = 0
    const { headers } = options
    class Socket extends WebSocket {
      constructor(url: string | URL) {
        super(url, headers === undefined ? {} : { headers: { ...headers, authorization: `Bearer ${token}` } })
      }
    }
    const ws = createWSClient({
      url: this.wsUrl,
      // The types of `ws` and of the browser differ in parts that the client does not use.
      WebSocket: Socket as unknown as typeof globalThis.WebSocket,
      ...(headers === undefined ? { connectionParams: () => (token === undefined ? {} : { token }) } : {}),
      retryDelayMs: (attempt) => Math.min(50 * 2 ** attempt, 1_000),
      onOpen: () => {
        opens += 1
      },
      onClose: (cause) => {
        if (cause?.code !== undefined) closes.push(cause.code)
      },
    })
    const call = createTRPCClient<AppRouter>({ links: [wsLink({ client: ws })] })
    return { call, closes, opens: () => opens, [Symbol.asyncDispose]: () => ws.close() }
  }

  /** A raw WebSocket, open. */
  async socket(options: { token?: string; headers?: Record<string, string>; path?: string } = {}): Promise<WebSocket> {
    const { token, headers = {}, path = '/ws' } = options
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, {
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return socket
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.close()
    if (!this.#keepHome) await rm(this.home, { recursive: true, force: true })
  }
}

/** The code that a socket is closed with. */
export function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
}
