import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store } from '../store/store.ts'
import { TokenFile, type TokenRecord, type TokenStorage, tokenRecordSchema } from './token-file.ts'

/** The tokens in the relay's database. */
export class TokenTable implements TokenStorage {
  readonly #store: Store
  readonly #aioHome: string
  /** What was last written of each. */
  readonly #written = new Map<string, string>()

  constructor(options: { store: Store; aioHome: string }) {
    this.#store = options.store
    this.#aioHome = options.aioHome
  }

  /** All tokens; those of an earlier version's file are taken over, once. @throws AioError when that file is damaged. */
  async read(): Promise<TokenRecord[]> {
    await this.#takeOverFile()
    return this.#store.rows('SELECT body FROM tokens ORDER BY rowid').map((row) => {
      const body = String(row['body'])
      const record = tokenRecordSchema.parse(JSON.parse(body))
      this.#written.set(record.id, body)
      return record
    })
  }

  /** Resolves once what `snapshot` gives is on stable storage. */
  write(snapshot: () => readonly TokenRecord[]): Promise<void> {
    const records = snapshot()
    for (const record of records) {
      const body = JSON.stringify(record)
      if (this.#written.get(record.id) === body) continue
      this.#written.set(record.id, body)
      this.#store.add({ statement: 'putToken', values: [record.id, body] })
    }
    const kept = new Set(records.map(({ id }) => id))
    for (const id of [...this.#written.keys()]) {
      if (kept.has(id)) continue
      this.#written.delete(id)
      this.#store.add({ statement: 'dropToken', values: [id] })
    }
    // In force already in this process; whoever asked is told that it may not outlive it.
    if (this.#store.trouble !== undefined) return Promise.reject(this.#store.refusal())
    return this.#store.settled()
  }

  // A token that the database knows already is left as it is there: it may have been revoked since.
  async #takeOverFile(): Promise<void> {
    const path = join(this.#aioHome, 'relay/tokens.json')
    const records = await new TokenFile(path).read()
    if (records.length === 0) return
    for (const record of records)
      this.#store.add({ statement: 'addToken', values: [record.id, JSON.stringify(record)] })
    await this.#store.settled()
    await rm(path, { force: true })
  }
}
