import { networkOf } from '../auth/call-rates.ts'
import type { EdgeLimits } from './limits.ts'

/** A place among the sockets that have not authenticated yet. */
export interface Place {
  /** Gives it back; again has no effect. */
  leave(): void
}

interface Guest {
  network: string
  since: number
  evict: () => void
}

/**
 * Counts sockets that have not authenticated, per address and in all (S-3). When there are too many, one that has had its time
 * to present a token makes room for the new one: whoever only sits there keeps nobody out.
 */
export class Admission {
  readonly #limits: EdgeLimits
  readonly #now: () => number
  /** Oldest first, as sets keep the order of coming. */
  readonly #all = new Set<Guest>()
  readonly #perNetwork = new Map<string, Set<Guest>>()

  constructor(limits: EdgeLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  /** A place for a socket from this address, or `undefined` when there are too many that have just come. */
  enter(address: string, evict: () => void): Place | undefined {
    const network = networkOf(address)
    const here = this.#perNetwork.get(network) ?? new Set()
    if (here.size >= this.#limits.unauthenticatedPerAddressMax && !this.#makeRoom(here)) return undefined
    if (this.#all.size >= this.#limits.unauthenticatedTotalMax && !this.#makeRoom(this.#all)) return undefined
    const guest: Guest = { network, since: this.#now(), evict }
    this.#all.add(guest)
    this.#perNetwork.set(network, here.add(guest))
    return { leave: () => this.#leave(guest) }
  }

  #makeRoom(guests: ReadonlySet<Guest>): boolean {
    const [oldest] = guests
    if (oldest === undefined || this.#now() - oldest.since < this.#limits.unauthenticatedStayMs) return false
    this.#leave(oldest)
    oldest.evict()
    return true
  }

  #leave(guest: Guest): void {
    this.#all.delete(guest)
    const here = this.#perNetwork.get(guest.network)
    here?.delete(guest)
    if (here?.size === 0) this.#perNetwork.delete(guest.network)
  }
}
