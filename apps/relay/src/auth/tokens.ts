import { randomBytes } from 'node:crypto'
import { AioError, type Principal, type Role, type TokenInfo } from '@ai-orchestration/protocol'
import { isoTime } from '../iso-time.ts'
import { hashSecret, matchesHash, newSecret } from './secret.ts'
import type { TokenRecord, TokenStorage } from './token-file.ts'

/** Id that AUTH_TOKEN goes by wherever a token id stands. */
export const BOOTSTRAP_ID = 'auth-token'

const TOKENS_MAX = 10_000 // some megabytes of JSON; a person has a handful
const LOGOUT_GRACE_MS = 100
const KEEP_DEAD_MS = 30 * 24 * 3_600_000 // revoked and expired tokens stay listed for a month

/** A wrong guess and a dead token look alike from outside, save for the one who held the right secret. */
const REFUSED = 'This token is not known to the relay. Log in again with: aio login'

/** Who may do what: AUTH_TOKEN and the tokens made later. */
export class Tokens {
  readonly #bootstrapHash: string
  readonly #storage: TokenStorage
  readonly #byId: Map<string, TokenRecord>
  readonly #now: () => number
  readonly #leaving = new Set<string>()
  readonly #onDead = new Set<(tokenId: string) => void>()

  private constructor(bootstrap: string, storage: TokenStorage, records: TokenRecord[], now: () => number) {
    this.#bootstrapHash = hashSecret(bootstrap)
    this.#storage = storage
    this.#byId = new Map(records.map((record) => [record.id, record]))
    this.#now = now
  }

  /** Opens the tokens that are kept. */
  static async open(options: { storage: TokenStorage; bootstrap: string; now?: () => number }): Promise<Tokens> {
    const { storage, bootstrap, now = Date.now } = options
    return new Tokens(bootstrap, storage, await storage.read(), now)
  }

  /** Whose token this is. @throws AioError UNAUTHORIZED */
  verify(token: string): Principal {
    if (matchesHash(token, this.#bootstrapHash))
      return { tokenId: BOOTSTRAP_ID, name: 'AUTH_TOKEN', roles: ['admin', 'orchestrator'] }
    const [prefix, role, id, ...rest] = token.split('_')
    const record = prefix === 'aio' && id !== undefined ? this.#byId.get(id) : undefined
    if (record === undefined || record.role !== role || !matchesHash(rest.join('_'), record.hash))
      throw new AioError('UNAUTHORIZED', REFUSED)
    this.#refuseDead(record)
    record.lastUsedAt = isoTime(this.#now()) // kept with the next write; not worth one of its own
    return principalOf(record)
  }

  /** The same principal as of now. @throws AioError UNAUTHORIZED once its token is revoked or has expired. */
  recheck(tokenId: string): Principal {
    if (tokenId === BOOTSTRAP_ID) return { tokenId, name: 'AUTH_TOKEN', roles: ['admin', 'orchestrator'] }
    const record = this.#byId.get(tokenId)
    if (record === undefined) throw new AioError('UNAUTHORIZED', REFUSED)
    this.#refuseDead(record)
    return principalOf(record)
  }

  /** Makes a token; the text is in this answer and nowhere else. @throws AioError LIMIT */
  async create(options: { role: Role; name: string; ttlMs?: number | undefined }): Promise<{
    token: string
    info: TokenInfo
  }> {
    this.#forgetLongDead()
    if (this.#byId.size >= TOKENS_MAX)
      throw new AioError('LIMIT', `There are ${TOKENS_MAX} tokens. Revoke some first: aio tokens revoke <id>`)
    const id = randomBytes(6).toString('hex')
    const secret = newSecret()
    const now = this.#now()
    const record: TokenRecord = {
      id,
      role: options.role,
      name: options.name,
      hash: hashSecret(secret),
      createdAt: isoTime(now),
      ...(options.ttlMs === undefined ? {} : { expiresAt: isoTime(now + options.ttlMs) }),
    }
    this.#byId.set(id, record)
    await this.#save()
    return { token: `aio_${options.role}_${id}_${secret}`, info: infoOf(record) }
  }

  /** All tokens, newest first. */
  list(): TokenInfo[] {
    return [...this.#byId.values()].map(infoOf).reverse()
  }

  /** Ends a token for good; its connections close within a second. @throws AioError NOT_FOUND */
  revoke(tokenId: string): Promise<TokenInfo> {
    return this.#revoke(tokenId, () => this.#tellDead(tokenId))
  }

  /** Revokes the caller's own token; its connections close a moment later, so that the answer still gets there. @throws AioError FORBIDDEN for AUTH_TOKEN. */
  async logout(tokenId: string): Promise<void> {
    this.#leaving.add(tokenId)
    try {
      await this.#revoke(tokenId, () => undefined)
    } finally {
      setTimeout(() => {
        this.#leaving.delete(tokenId)
        this.#tellDead(tokenId)
      }, LOGOUT_GRACE_MS)
    }
  }

  /** True while a token's own logout is being answered: its calls are refused already, its connections stay for that answer. */
  isLeaving(tokenId: string): boolean {
    return this.#leaving.has(tokenId)
  }

  async #revoke(tokenId: string, tell: () => void): Promise<TokenInfo> {
    if (tokenId === BOOTSTRAP_ID)
      throw new AioError('FORBIDDEN', 'AUTH_TOKEN cannot be revoked. Start the relay with another one instead.')
    const record = this.#byId.get(tokenId)
    if (record === undefined) throw new AioError('NOT_FOUND', 'There is no token with this id. See: aio tokens list')
    if (record.revokedAt === undefined) {
      record.revokedAt = isoTime(this.#now())
      tell()
      await this.#save()
    }
    return infoOf(record)
  }

  /** Calls back at once when a token is revoked. Expiry is found by {@link recheck}. */
  onRevoked(listener: (tokenId: string) => void): () => void {
    this.#onDead.add(listener)
    return () => this.#onDead.delete(listener)
  }

  #tellDead(tokenId: string): void {
    for (const listener of this.#onDead) listener(tokenId)
  }

  #refuseDead(record: TokenRecord): void {
    if (record.revokedAt !== undefined)
      throw new AioError('UNAUTHORIZED', 'This token was revoked. Log in again with: aio login')
    if (record.expiresAt !== undefined && Date.parse(record.expiresAt) <= this.#now())
      throw new AioError('UNAUTHORIZED', 'This token has expired. Log in again with: aio login')
  }

  #forgetLongDead(): void {
    const before = this.#now() - KEEP_DEAD_MS
    for (const [id, { revokedAt, expiresAt }] of this.#byId) {
      const died = Math.min(...[revokedAt, expiresAt].filter((at) => at !== undefined).map(Date.parse))
      if (died < before) this.#byId.delete(id)
    }
  }

  #save(): Promise<void> {
    return this.#storage.write(() => [...this.#byId.values()])
  }
}

function principalOf(record: TokenRecord): Principal {
  return { tokenId: record.id, name: record.name, roles: [record.role] }
}

function infoOf({ hash: _, ...info }: TokenRecord): TokenInfo {
  return info
}
