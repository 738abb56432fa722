import { AioError, LIMITS, type Principal, type Role } from '@ai-orchestration/protocol'
import { hashSecret, newSecret } from './secret.ts'

/** Roles that a person's device can have. */
export type ClientRole = Exclude<Role, 'orchestrator'>

const CODES_MAX = 1_000 // live at once; each is forgotten after five minutes
const ORDER: readonly ClientRole[] = ['viewer', 'operator', 'admin']

/** One-time login codes; in memory only, so a restart of the relay ends them all. */
export class LoginCodes {
  readonly #live = new Map<string, { role: ClientRole; expiresAt: number; madeBy: string }>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Makes a code. @throws AioError LIMIT */
  create(role: ClientRole, madeBy: string): { code: string; expiresAt: string } {
    this.#forgetExpired()
    if (this.#live.size >= CODES_MAX)
      throw new AioError('LIMIT', 'Too many login codes are open. They end after five minutes; try again then.')
    const code = newSecret()
    const expiresAt = this.#now() + LIMITS.loginCodeTtlMs
    this.#live.set(hashSecret(code), { role, expiresAt, madeBy })
    return { code, expiresAt: new Date(expiresAt).toISOString() }
  }

  /** Uses a code up. Of two who try at once exactly one gets the role; the other, like any wrong guess, gets `undefined`. */
  take(code: string): { role: ClientRole; madeBy: string } | undefined {
    this.#forgetExpired()
    const key = hashSecret(code)
    const found = this.#live.get(key)
    this.#live.delete(key)
    return found
  }

  #forgetExpired(): void {
    const now = this.#now()
    for (const [key, { expiresAt }] of this.#live) {
      if (expiresAt > now) break // they are in order of making, and all live equally long
      this.#live.delete(key)
    }
  }
}

/** The strongest client role among some, or `undefined`. */
export function clientRole(roles: readonly Role[]): ClientRole | undefined {
  return ORDER.findLast((role) => roles.includes(role))
}

/** Makes a code for someone, of their own role or a weaker one. @throws AioError FORBIDDEN, LIMIT */
export function createCode(codes: LoginCodes, principal: Principal, wanted: ClientRole | undefined) {
  const own = clientRole(principal.roles)
  const role = wanted ?? own
  if (own === undefined || role === undefined || ORDER.indexOf(role) > ORDER.indexOf(own))
    throw new AioError(
      'FORBIDDEN',
      `A login code cannot have a stronger role than your own, which is ${own ?? 'none'}.`,
    )
  return codes.create(role, principal.tokenId)
}
