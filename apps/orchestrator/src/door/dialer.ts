import { lookup as systemLookup } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Addresses } from './addresses.ts'
import { formatTarget, type Target } from './target.ts'

/** Turns a name into addresses; the system's own resolver, with its hosts file, unless a test gives another. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** Why no connection was made. `isRefused` when it never may be, as opposed to one that failed. */
export class DialError extends Error {
  readonly isRefused: boolean

  constructor(message: string, isRefused: boolean) {
    super(message)
    this.isRefused = isRefused
  }
}

/** Looking a name up, and one attempt to connect, each take no longer, in milliseconds. */
const LOOKUP_MS = 10_000
const CONNECT_MS = 10_000
/** How long it is remembered where the platform's own hosts are, in milliseconds. */
const OWN_ADDRESSES_MS = 60_000
/** Addresses of one name that are tried. */
const ATTEMPTS_MAX = 3
/** Lookups of all sessions under way at once: each holds one of the four threads that files need as well. */
const LOOKUPS_MAX = 2

/** Makes connections for sessions: resolves here, checks what came of it, and connects to exactly that. */
export class Dialer {
  readonly #addresses: Addresses
  readonly #resolve: Resolve
  readonly #ownHosts: readonly string[]
  #own: { addresses: ReadonlySet<string>; until: number } | undefined
  #lookups = 0
  readonly #waiting: (() => void)[] = []

  /** @param options `ownHosts` are the platform's own, such as the relay's: what they resolve to is refused too. */
  constructor(options: { addresses: Addresses; ownHosts?: readonly string[]; resolve?: Resolve }) {
    this.#addresses = options.addresses
    this.#ownHosts = options.ownHosts ?? []
    this.#resolve = options.resolve ?? resolveBySystem
  }

  /** @throws DialError that says why not; the signal's reason. */
  async dial(target: Target, signal: AbortSignal): Promise<Socket> {
    const found = target.isAddress ? [target.host] : await this.#lookup(target.host)
    const own = await this.#ownAddresses()
    signal.throwIfAborted()
    const allowed = found.filter((address) => this.#addresses.allows(address, target.port, own))
    if (allowed.length === 0)
      throw found.length === 0
        ? new DialError(`${target.host} has no address`, false)
        : new DialError(`${target.host} is an address, or leads to one, that no session may reach`, true)
    let failure = ''
    for (const address of allowed.slice(0, ATTEMPTS_MAX)) {
      const outcome = await attempt(address, target.port, signal)
      if (typeof outcome !== 'string') return outcome
      signal.throwIfAborted()
      failure = outcome
    }
    throw new DialError(`${formatTarget(target)} could not be reached: ${failure}`, false)
  }

  async #ownAddresses(): Promise<ReadonlySet<string>> {
    if (this.#own !== undefined && performance.now() < this.#own.until) return this.#own.addresses
    // One that cannot be looked up here is not reached from here either.
    const found = await Promise.all(this.#ownHosts.map((host) => this.#lookup(host).catch(() => [])))
    this.#own = { addresses: new Set(found.flat()), until: performance.now() + OWN_ADDRESSES_MS }
    return this.#own.addresses
  }

  async #lookup(host: string): Promise<readonly string[]> {
    while (this.#lookups >= LOOKUPS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#lookups++
    let timer: NodeJS.Timeout | undefined
    const looking = this.#resolve(host).finally(() => {
      this.#lookups--
      this.#waiting.shift()?.()
    })
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new DialError(`${host} could not be looked up in time`, false)), LOOKUP_MS)
    })
    try {
      return await Promise.race([looking, late])
    } catch (error) {
      if (error instanceof DialError) throw error
      throw new DialError(`${host} could not be looked up: ${codeOf(error)}`, false)
    } finally {
      clearTimeout(timer)
    }
  }
}

async function attempt(address: string, port: number, signal: AbortSignal): Promise<Socket | string> {
  // An address and no name, so that nothing is looked up a second time.
  const socket = connect({ host: address, port, autoSelectFamily: false, noDelay: true, allowHalfOpen: true })
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]) })
    return socket
  } catch (error) {
    socket.on('error', () => undefined).destroy()
    return error instanceof Error && error.name === 'AbortError' ? 'it did not answer in time' : codeOf(error)
  }
}

async function resolveBySystem(host: string): Promise<readonly string[]> {
  return (await systemLookup(host, { all: true, verbatim: true })).map(({ address }) => address)
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return error instanceof Error ? error.message : String(error)
}
