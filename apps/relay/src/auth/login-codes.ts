import { AioError, LIMITS } from '@ai-orchestration/protocol'
import type { ClientRole } from './client-role.ts'
import { hashSecret, newSecret } from './secret.ts'

const CODES_MAX = 1_000 // live at once; each is forgotten after five minutes

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
