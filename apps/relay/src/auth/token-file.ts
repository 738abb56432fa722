import { AioError, hostFactsSchema, roleSchema, scopeSchema, timestampSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { readIfPresent } from '../disk/read-if-present.ts'
import { writeFileDurably } from '../disk/write-file-durably.ts'

const hostKeySchema = z.object({
  /** Ed25519, as SPKI in base64. */
  publicKey: z.string(),
  facts: hostFactsSchema,
})
/** The machine that a token was given to when it was enrolled. */
export type HostKey = z.infer<typeof hostKeySchema>

/** Schema of {@link TokenRecord}. */
export const tokenRecordSchema = z.object({
  id: z.string(),
  role: roleSchema,
  name: z.string(),
  ...scopeSchema.shape,
  madeFrom: z.string().optional(),
  host: hostKeySchema.optional(),
  /** SHA-256 of the secret, in hex; the secret itself is nowhere. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: timestampSchema,
  lastUsedAt: timestampSchema.optional(),
  expiresAt: timestampSchema.optional(),
  revokedAt: timestampSchema.optional(),
})
/** A token as it is kept. */
export type TokenRecord = z.infer<typeof tokenRecordSchema>

/** Where tokens are kept. */
export interface TokenStorage {
  read(): Promise<TokenRecord[]>
  /** Resolves once what `snapshot` gives is on stable storage. */
  write(snapshot: () => readonly TokenRecord[]): Promise<void>
}

const fileSchema = z.object({ version: z.literal(1), tokens: z.array(tokenRecordSchema) })

/** The tokens in a file, as an earlier version kept them; writes are joined, and each caller waits for one that holds its change. */
export class TokenFile implements TokenStorage {
  readonly #path: string
  #writing: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** @throws AioError when the file is damaged; it is never read as empty, for that would bring revoked tokens' places back. */
  async read(): Promise<TokenRecord[]> {
    const text = await readIfPresent(this.#path)
    if (text === undefined) return []
    try {
      return fileSchema.parse(JSON.parse(text)).tokens
    } catch (error) {
      throw new AioError(
        'INTERNAL',
        `The token file ${this.#path} is damaged. Restore it from a backup, or move it away: every device then has to log in again.`,
        { cause: error },
      )
    }
  }

  /** Resolves once what `snapshot` gives is on stable storage. */
  write(snapshot: () => readonly TokenRecord[]): Promise<void> {
    if (this.#next !== undefined) return this.#next
    const run = this.#writing
      .catch(() => undefined) // its own callers have been told
      .then(() => {
        this.#next = undefined
        return writeFileDurably(this.#path, `${JSON.stringify({ version: 1, tokens: snapshot() }, undefined, 2)}\n`)
      })
    this.#next = run
    this.#writing = run
    return run
  }
}
