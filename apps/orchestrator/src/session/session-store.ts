import { AioError, type OrchestratorEvent, type Session } from '@ai-orchestration/protocol'
import { type SessionRecord, writeRecord } from './record.ts'

/** What may change about a session, besides what only this machine knows of it. */
export interface SessionChange extends Omit<Partial<SessionRecord>, 'session'> {
  session?: Partial<Session>
}

/** All sessions of this machine, in memory and in their bundles; tells of every change. */
export class SessionStore {
  readonly #records = new Map<string, SessionRecord>()
  readonly #writes = new Map<string, Promise<void>>()
  readonly #listeners = new Set<(event: OrchestratorEvent) => void>()
  readonly #pathOf: (record: SessionRecord) => string
  readonly #now: () => Date

  /** @param pathOf where a session's record is kept. */
  constructor(pathOf: (record: SessionRecord) => string, now: () => Date) {
    this.#pathOf = pathOf
    this.#now = now
  }

  /** Every session, by id. */
  list(): SessionRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.session.id < b.session.id ? -1 : 1))
  }

  /** One session, if it exists. */
  get(id: string): SessionRecord | undefined {
    return this.#records.get(id)
  }

  /** One session. @throws AioError NOT_FOUND. */
  require(id: string): SessionRecord {
    const record = this.#records.get(id)
    if (record === undefined)
      throw new AioError('NOT_FOUND', `There is no session ${id} on this machine. \`aio sessions list\` shows all.`)
    return record
  }

  /** Takes in a session as it is, without writing it or telling anyone. */
  load(record: SessionRecord): void {
    this.#records.set(record.session.id, record)
  }

  /** Adds a session or replaces it; tells at once and answers when it is on disk. */
  async put(record: SessionRecord): Promise<void> {
    const { id, projectId } = record.session
    this.#records.set(id, record)
    this.#tell({ type: 'session_updated', sessionId: id, projectId, session: record.session })
    await this.#write(id)
  }

  /** Changes a session; does nothing when it has been removed meanwhile. */
  async change(id: string, change: SessionChange): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined) return
    const session = { ...record.session, ...change.session, updatedAt: this.#now().toISOString() }
    if (session.state !== 'paused') delete session.pause
    await this.put({ ...record, ...change, session })
  }

  /** Forgets a session; answers when no write of its record is under way any more. */
  async remove(id: string): Promise<void> {
    const record = this.#records.get(id)
    this.#records.delete(id)
    await this.#writes.get(id)
    if (record !== undefined)
      this.#tell({ type: 'session_removed', sessionId: id, projectId: record.session.projectId })
  }

  /** Calls back for every change. @returns the way to stop it. */
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Writes one after the other, each time the latest state, so that an older one never lands last. */
  async #write(id: string): Promise<void> {
    const before = this.#writes.get(id) ?? Promise.resolve()
    const write = async () => {
      const record = this.#records.get(id)
      if (record !== undefined) await writeRecord(this.#pathOf(record), record)
    }
    const mine = before.then(write, write)
    this.#writes.set(id, mine)
    await mine
  }

  #tell(event: OrchestratorEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
