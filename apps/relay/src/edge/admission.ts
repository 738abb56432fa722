import type { EdgeLimits } from './limits.ts'

/** A place among the sockets that have not authenticated yet. */
export interface Place {
  /** Gives it back; again has no effect. */
  leave(): void
}

/** Counts sockets that have not authenticated, per address and in all (S-3). */
export class Admission {
  readonly #limits: EdgeLimits
  readonly #perAddress = new Map<string, number>()
  #total = 0

  constructor(limits: EdgeLimits) {
    this.#limits = limits
  }

  /** A place for a socket from this address, or `undefined` when there are too many. */
  enter(address: string): Place | undefined {
    const here = this.#perAddress.get(address) ?? 0
    if (here >= this.#limits.unauthenticatedPerAddressMax || this.#total >= this.#limits.unauthenticatedTotalMax)
      return undefined
    this.#perAddress.set(address, here + 1)
    this.#total += 1
    let isIn = true
    return {
      leave: () => {
        if (!isIn) return
        isIn = false
        this.#total -= 1
        const left = (this.#perAddress.get(address) ?? 1) - 1
        if (left === 0) this.#perAddress.delete(address)
        else this.#perAddress.set(address, left)
      },
    }
  }
}
