import { isIPv6 } from 'node:net'
import type { Principal, WireError } from '@ai-orchestration/protocol'
import { TokenBuckets } from './token-buckets.ts'

/** Calls per second that are let through for long (S-2). */
export interface CallsPerSecond {
  /** Of one token of a viewer or operator. */
  perToken: number
  /** Of all tokens from one address. */
  perAddress: number
}

/** Admins could stop the relay anyway, and machines bring the events of all their sessions. */
const TRUSTED_FACTOR = 50
/** Calls of those who have presented no token, per address: far more than logging in takes, and more than is worth guessing with. */
const STRANGERS_PER_SECOND = 2_000

/** Whether a call may come now, by who calls and from where. Refusing costs next to nothing, and nobody's calls count as another's. */
export class CallRates {
  readonly #tokens: TokenBuckets
  readonly #trusted: TokenBuckets
  readonly #addresses: TokenBuckets
  readonly #strangers: TokenBuckets

  constructor({ perToken, perAddress }: CallsPerSecond, now: () => number = () => performance.now()) {
    this.#tokens = new TokenBuckets({ perSecond: perToken, now })
    this.#trusted = new TokenBuckets({ perSecond: perToken * TRUSTED_FACTOR, now })
    this.#addresses = new TokenBuckets({ perSecond: perAddress, now })
    this.#strangers = new TokenBuckets({ perSecond: STRANGERS_PER_SECOND, now })
  }

  /** Counts calls and answers how long to wait before the next, in milliseconds; 0 when these may go on. */
  take(principal: Principal | undefined, address: string, calls = 1): number {
    if (principal === undefined) return this.#strangers.take(networkOf(address), calls)
    const isTrusted = principal.roles.includes('admin') || principal.roles.includes('orchestrator')
    const own = (isTrusted ? this.#trusted : this.#tokens).take(principal.tokenId, calls)
    return own > 0 ? own : this.#addresses.take(address, calls)
  }
}

/** The answer to a call that came too fast: nothing was started, and when to try again. */
export function tooFast(waitMs: number): WireError {
  return {
    code: 'LIMIT',
    message: `Calls come faster than allowed, so this one was not looked at. Try again in ${waitMs} ms.`,
    details: { retryAfterMs: waitMs },
  }
}

/** Whoever has one IPv6 address has the 2^64 beside it: they count as one. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail === undefined) return groups.slice(0, 4).join(':')
  const rest = tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0')
  return [...groups, ...zeros, ...rest].slice(0, 4).join(':')
}
