import { randomBytes } from 'node:crypto'
import { AioError, type Principal, type Role, type Scope, type TokenInfo } from '@ai-orchestration/protocol'
import { isoTime } from '../iso-time.ts'
import { isClientRole } from './client-role.ts'
import { whyUseless } from './scope.ts'
import { hashSecret, matchesHash, newSecret } from './secret.ts'
import type { HostKey, TokenRecord, TokenStorage } from './token-file.ts'

/** Id that AUTH_TOKEN goes by wherever a token id stands. */
export const BOOTSTRAP_ID = 'auth-token'

const TOKENS_MAX = 10_000 // some megabytes of JSON; a person has a handful
const LOGOUT_GRACE_MS = 100
const KEEP_DEAD_MS = 30 * 24 * 3_600_000 // revoked and expired tokens stay listed for a month
const BOOTSTRAP: Principal = { tokenId: BOOTSTRAP_ID, name: 'AUTH_TOKEN', roles: ['admin', 'orchestrator'] }

/** A wrong guess and a dead token look alike from outside, save for the one who held the right secret. */
const REFUSED = 'This token is not known to the relay. Log in again with: aio login'

/** A token to be made. */
export interface NewToken extends Scope {
  role: Role
  name: string
  ttlMs?: number | undefined
  madeFrom?: string | undefined
  host?: HostKey | undefined
}

/** What may be changed of a token; `null` lifts a limit, what is absent stays. */
export interface TokenChange {
  role?: Role | undefined
  projects?: string[] | null | undefined
  orchestrators?: string[] | null | undefined
}

/** A token with what each call asks of it, made once. */
interface Held {
  record: TokenRecord
  principal: Principal
  /** In milliseconds since 1970; Infinity when it does not expire. */
  expiresAt: number
}

/** Who may do what: AUTH_TOKEN and the tokens made later. */
export class Tokens {
  readonly #bootstrapHash: string
  readonly #storage: TokenStorage
  readonly #byId: Map<string, Held>
  readonly #now: () => number
  readonly #leaving = new Set<string>()
  readonly #onEnded = new Set<(tokenId: string) => void>()

  private constructor(bootstrap: string, storage: TokenStorage, records: TokenRecord[], now: () => number) {
    this.#bootstrapHash = hashSecret(bootstrap)
    this.#storage = storage
    this.#byId = new Map(records.map((record) => [record.id, held(record)]))
    this.#now = now
  }

  /** Opens the tokens that are kept. */
  static async open(options: { storage: TokenStorage; bootstrap: string; now?: () => number }): Promise<Tokens> {
    const { storage, bootstrap, now = Date.now } = options
    return new Tokens(bootstrap, storage, await storage.read(), now)
  }

  /** Whose token this is. @throws AioError UNAUTHORIZED */
  verify(token: string): Principal {
    if (matchesHash(token, this.#bootstrapHash)) return BOOTSTRAP
    // The second part is for people: what a token allows may have been changed since it was made.
    const [prefix, , id, ...rest] = token.split('_')
    const found = prefix === 'aio' && id !== undefined ? this.#byId.get(id) : undefined
    if (found === undefined || !matchesHash(rest.join('_'), found.record.hash))
      throw new AioError('UNAUTHORIZED', REFUSED)
    this.#refuseDead(found)
    found.record.lastUsedAt = this.#stamp() // kept with the next write; not worth one of its own
    return found.principal
  }

  /** The same principal as of now. @throws AioError UNAUTHORIZED once its token is revoked or has expired. */
  recheck(tokenId: string): Principal {
    if (tokenId === BOOTSTRAP_ID) return BOOTSTRAP
    const found = this.#byId.get(tokenId)
    if (found === undefined) throw new AioError('UNAUTHORIZED', REFUSED)
    this.#refuseDead(found)
    return found.principal
  }

  /** Makes a token; the text is in this answer and nowhere else. @throws AioError LIMIT */
  async create(options: NewToken): Promise<{ token: string; info: TokenInfo }> {
    this.#forgetLongDead()
    if (this.#byId.size >= TOKENS_MAX)
      throw new AioError('LIMIT', `There are ${TOKENS_MAX} tokens. Revoke some first: aio tokens revoke <id>`)
    const { role, name, ttlMs, projects, orchestrators, madeFrom, host } = options
    const id = randomBytes(6).toString('hex')
    const secret = newSecret()
    const record: TokenRecord = {
      id,
      role,
      name,
      hash: hashSecret(secret),
      createdAt: this.#stamp(),
      ...{ projects, orchestrators, madeFrom, host },
      expiresAt: ttlMs === undefined ? undefined : isoTime(this.#now() + ttlMs),
    }
    this.#byId.set(id, held(record))
    await this.#save()
    return { token: `aio_${role}_${id}_${secret}`, info: infoOf(record) }
  }

  /** What a token that is made from another may have at most: the same limits, no longer life, and the same end. */
  boundsOf(tokenId: string, ttlMs: number): Scope & { madeFrom?: string | undefined; ttlMs: number } {
    const found = this.#byId.get(tokenId)
    if (found === undefined) return { ttlMs }
    const { id, projects, orchestrators } = found.record
    return { projects, orchestrators, madeFrom: id, ttlMs: Math.min(ttlMs, found.expiresAt - this.#now()) }
  }

  /** All tokens, newest first. */
  list(): TokenInfo[] {
    return [...this.#byId.values()].map(({ record }) => infoOf(record)).reverse()
  }

  /** Ends a token for good, and those that devices have logged in with from it; their connections close within a second. @throws AioError NOT_FOUND */
  async revoke(tokenId: string): Promise<TokenInfo> {
    const { record } = this.#require(tokenId, 'revoked')
    this.#end(record)
    this.#endMadeFrom(record.id)
    await this.#save()
    return infoOf(record)
  }

  /** Revokes the caller's own token; its connections close a moment later, so that the answer still gets there. @throws AioError FORBIDDEN for AUTH_TOKEN. */
  async logout(tokenId: string): Promise<void> {
    await this.spend(tokenId, () => this.#save())
  }

  /**
   * Ends a token as of this very call, for what is done with it now; its connections close a moment after that.
   *
   * @param use keeps the change, with what else it writes.
   * @throws AioError UNAUTHORIZED when it had ended.
   */
  async spend<T>(tokenId: string, use: () => Promise<T>): Promise<T> {
    const found = this.#require(tokenId, 'revoked')
    this.#refuseDead(found)
    found.record.revokedAt = this.#stamp()
    this.#leaving.add(tokenId)
    try {
      return await use()
    } finally {
      setTimeout(() => {
        this.#leaving.delete(tokenId)
        this.#tellEnded(tokenId)
      }, LOGOUT_GRACE_MS)
    }
  }

  /** True while the last call of a token is being answered: its other calls are refused already, its connections stay for that answer. */
  isLeaving(tokenId: string): boolean {
    return this.#leaving.has(tokenId)
  }

  /** Changes what a token allows. Its connections close, and what was made from it ends. @throws AioError NOT_FOUND, INVALID_INPUT, UNAUTHORIZED when it had ended */
  async change(tokenId: string, change: TokenChange): Promise<TokenInfo> {
    const found = this.#require(tokenId, 'changed')
    this.#refuseDead(found)
    const { role, projects, orchestrators } = change
    const before = found.record
    if (!isClientRole(before.role))
      throw new AioError(
        'INVALID_INPUT',
        'What a machine may do does not change. Revoke its token, and enroll it again.',
      )
    const record: TokenRecord = {
      ...before,
      role: role ?? before.role,
      projects: changed(before.projects, projects),
      orchestrators: changed(before.orchestrators, orchestrators),
    }
    const why = whyUseless(record)
    if (why !== undefined) throw new AioError('INVALID_INPUT', why)
    this.#byId.set(tokenId, held(record))
    this.#tellEnded(tokenId)
    this.#endMadeFrom(tokenId)
    await this.#save()
    return infoOf(record)
  }

  /** Makes a machine's token that machine's alone. */
  bind(tokenId: string, orchestratorId: string): void {
    const found = this.#byId.get(tokenId)
    if (found === undefined || found.record.orchestrators !== undefined) return
    this.#byId.set(tokenId, held({ ...found.record, orchestrators: [orchestratorId] }))
    void this.#save().catch(() => undefined) // in force already; the next write brings it along
  }

  /** The key that a token is bound to. */
  hostKeyOf(tokenId: string): HostKey | undefined {
    return this.#byId.get(tokenId)?.record.host
  }

  /** The live tokens that a machine was enrolled with; more than one only while it is enrolled again. */
  enrolledAs(orchestratorId: string): string[] {
    const now = this.#now()
    const isIt = ({ record, expiresAt }: Held) =>
      record.host !== undefined &&
      record.orchestrators?.[0] === orchestratorId &&
      record.revokedAt === undefined &&
      expiresAt > now
    return [...this.#byId.values()].filter(isIt).map(({ record }) => record.id)
  }

  /** Calls back at once when a token is revoked or changed: its connections are to be closed. Expiry is found by {@link recheck}. */
  onEnded(listener: (tokenId: string) => void): () => void {
    this.#onEnded.add(listener)
    return () => this.#onEnded.delete(listener)
  }

  #require(tokenId: string, what: string): Held {
    if (tokenId === BOOTSTRAP_ID)
      throw new AioError('FORBIDDEN', `AUTH_TOKEN cannot be ${what}. Start the relay with another one instead.`)
    const found = this.#byId.get(tokenId)
    if (found === undefined) throw new AioError('NOT_FOUND', 'There is no token with this id. See: aio tokens list')
    return found
  }

  #end(record: TokenRecord): void {
    if (record.revokedAt !== undefined) return
    record.revokedAt = this.#stamp()
    this.#tellEnded(record.id)
  }

  #endMadeFrom(tokenId: string): void {
    for (const { record } of this.#byId.values()) {
      if (record.madeFrom !== tokenId) continue
      this.#end(record)
      this.#endMadeFrom(record.id)
    }
  }

  #tellEnded(tokenId: string): void {
    for (const listener of this.#onEnded) listener(tokenId)
  }

  #refuseDead({ record, expiresAt }: Held): void {
    if (record.revokedAt !== undefined)
      throw new AioError('UNAUTHORIZED', `This ${nounOf(record)} was revoked or used up. ${remedyOf(record)}`)
    if (expiresAt <= this.#now())
      throw new AioError('UNAUTHORIZED', `This ${nounOf(record)} has expired. ${remedyOf(record)}`)
  }

  #forgetLongDead(): void {
    const before = this.#now() - KEEP_DEAD_MS
    for (const [id, { record, expiresAt }] of this.#byId) {
      const revokedAt = record.revokedAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(record.revokedAt)
      if (Math.min(revokedAt, expiresAt) >= before) continue
      this.#byId.delete(id)
      for (const { record: other } of this.#byId.values()) if (other.madeFrom === id) other.madeFrom = record.madeFrom // who made the forgotten one can still end it
    }
  }

  #save(): Promise<void> {
    return this.#storage.write(() => [...this.#byId.values()].map(({ record }) => record))
  }

  #stamp(): string {
    return isoTime(this.#now())
  }
}

function held(record: TokenRecord): Held {
  const { id, name, role, projects, orchestrators, expiresAt } = record
  return {
    record,
    principal: { tokenId: id, name, roles: [role], projects, orchestrators },
    expiresAt: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
  }
}

function changed(before: string[] | undefined, change: string[] | null | undefined): string[] | undefined {
  return change === undefined ? before : (change ?? undefined)
}

function nounOf({ role }: TokenRecord): string {
  return role === 'enroll' ? 'code' : 'token'
}

function remedyOf({ role }: TokenRecord): string {
  if (role === 'enroll') return 'Ask for a new one: aio orchestrators enroll'
  if (role === 'orchestrator') return 'Enroll the machine again: aio orchestrators enroll'
  return 'Log in again with: aio login'
}

function infoOf({ hash: _, host: __, ...info }: TokenRecord): TokenInfo {
  return info
}
