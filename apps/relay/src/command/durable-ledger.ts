import { AioError, commandSchema, isFinal } from '@ai-orchestration/protocol'
import { seal, unseal } from '../store/sealed-text.ts'
import type { Row, Store, Write } from '../store/store.ts'
import type { Entry, Ledger } from './ledger.ts'
import { SeenIds } from './seen-ids.ts'

const PAGE = 100 // rows read at once for a list

/** Keeps commands on disk; those that are open, or not written yet, are also in memory. */
export class DurableLedger implements Ledger {
  readonly #store: Store
  readonly #now: () => number
  /** Open ones and those whose last change is on its way to the disk, oldest first. */
  readonly #live = new Map<string, Entry>()
  /** What was last written of each open one, as far as it matters after a crash. */
  readonly #written = new Map<string, string>()
  readonly #seen = new SeenIds()

  constructor(options: { store: Store; now?: () => number }) {
    this.#store = options.store
    this.#now = options.now ?? Date.now
    for (const row of this.#store.rows('SELECT * FROM commands WHERE ended_at IS NULL ORDER BY rowid')) {
      const entry = this.#entryOf(row)
      if (entry === undefined) continue
      this.#live.set(entry.command.commandId, entry)
      this.#written.set(entry.command.commandId, String(flagsOf(entry)))
    }
    for (const { id } of this.#store.each('SELECT id FROM commands')) this.#seen.add(String(id))
  }

  get openCount(): number {
    return this.#written.size
  }

  get(commandId: string): Entry | undefined {
    const live = this.#live.get(commandId)
    if (live !== undefined || !this.#seen.mayHave(commandId)) return live
    const [row] = this.#store.rows('SELECT * FROM commands WHERE id = ?', commandId)
    if (row === undefined) return undefined
    const entry = this.#entryOf(row)
    if (entry !== undefined) return entry
    throw new AioError(
      'INTERNAL',
      'The record of this command was damaged on the disk of the relay, so how it ended is not known. It was not started again. Look at the state of the project, then run it under a new id.',
    )
  }

  accept(entry: Entry): Promise<void> {
    if (this.#store.trouble !== undefined) return Promise.reject(this.#store.refusal())
    const { commandId } = entry.command
    this.#live.set(commandId, entry)
    this.#written.set(commandId, String(flagsOf(entry)))
    return new Promise((resolve, reject) => {
      this.#store.add({
        ...this.#insert(entry),
        onCommitted: () => resolve(),
        refusal: {
          undo: { statement: 'dropCommand', values: [commandId] },
          onRefused: (error) => {
            this.#live.delete(commandId)
            this.#written.delete(commandId)
            reject(error)
          },
        },
      })
    })
  }

  put(entry: Entry): void {
    const { commandId, state } = entry.command
    const isNew = !this.#live.has(commandId)
    this.#live.set(commandId, entry)
    if (isNew) {
      this.#store.add({ ...this.#insert(entry), onCommitted: () => this.#forget(entry) })
      return
    }
    if (!isFinal(state)) {
      // Progress is for those who look now; after a crash every open command is unknown whatever it said last.
      const matters = String(flagsOf(entry))
      if (this.#written.get(commandId) === matters) return
      this.#written.set(commandId, matters)
      this.#store.add(this.#change(entry))
      return
    }
    this.#written.delete(commandId)
    this.#store.add({ ...this.#change(entry), onCommitted: () => this.#forget(entry) })
  }

  settled(): Promise<void> {
    return this.#store.settled()
  }

  *open(): Iterable<Entry> {
    for (const entry of this.#live.values()) if (!isFinal(entry.command.state)) yield entry
  }

  *newestFirst(): Iterable<Entry> {
    const live = [...this.#live.values()].reverse().sort((a, b) => compare(b, a))
    for (const kept of this.#keptNewestFirst()) {
      for (let next = live[0]; next !== undefined && compare(next, kept) >= 0; next = live[0]) {
        live.shift()
        yield next
      }
      if (!this.#live.has(kept.command.commandId)) yield kept
    }
    yield* live
  }

  *#keptNewestFirst(): Iterable<Entry> {
    let before = '9999'
    let beforeRow = Number.MAX_SAFE_INTEGER
    for (;;) {
      const rows = this.#store.rows(
        'SELECT rowid, * FROM commands WHERE (created_at, rowid) < (?, ?) ORDER BY created_at DESC, rowid DESC LIMIT ?',
        before,
        beforeRow,
        PAGE,
      )
      for (const row of rows) {
        before = String(row['created_at'])
        beforeRow = Number(row['rowid'])
        const entry = this.#entryOf(row)
        if (entry !== undefined) yield entry
      }
      if (rows.length < PAGE) return
    }
  }

  // A change that was added since, or a repeat of the same id, stays.
  #forget(entry: Entry): void {
    const { commandId } = entry.command
    if (this.#live.get(commandId) === entry) this.#live.delete(commandId)
  }

  #insert(entry: Entry): Write {
    const { command, input, contentHash, by, deadline } = entry
    this.#seen.add(command.commandId)
    return {
      statement: 'acceptCommand',
      values: [
        command.commandId,
        command.createdAt,
        isFinal(command.state) ? this.#now() : null,
        seal(JSON.stringify(command)),
        input === undefined ? null : JSON.stringify(input),
        contentHash ?? null,
        by.name,
        by.isAdmin ? 1 : 0,
        by.tokenId ?? null,
        Math.round(this.#now() + deadline - performance.now()),
        ...flagsOf(entry),
      ],
    }
  }

  #change(entry: Entry): Write {
    const { command } = entry
    const isOver = isFinal(command.state)
    return {
      statement: 'changeCommand',
      values: [
        isOver ? this.#now() : null,
        seal(JSON.stringify(command)),
        isOver ? 1 : 0,
        ...flagsOf(entry),
        command.commandId,
      ],
    }
  }

  /** `undefined` when the row is not what was written. */
  #entryOf(row: Row): Entry | undefined {
    const body = unseal(String(row['body']))
    if (body === undefined) {
      this.#store.reportDamage('commands', String(row['id']))
      return undefined
    }
    const { input, content_hash: contentHash, by_token: tokenId } = row
    return {
      command: commandSchema.parse(JSON.parse(body)),
      input: typeof input === 'string' ? JSON.parse(input) : undefined,
      contentHash: typeof contentHash === 'string' ? contentHash : undefined,
      by: {
        name: String(row['by_name']),
        isAdmin: row['by_admin'] === 1,
        ...(typeof tokenId === 'string' ? { tokenId } : {}),
      },
      deadline: this.#deadlineOf(Number(row['expires_at']), Date.parse(String(row['created_at']))),
      wasDispatched: row['was_dispatched'] === 1,
      wasAcknowledged: row['was_acknowledged'] === 1,
      cancelRequested: row['cancel_requested'] === 1,
      isKept: true,
    }
  }

  // The monotonic clock does not go on over a restart. The wall clock stands in, and never gives more than there was at first.
  #deadlineOf(expiresAt: number, createdAt: number): number {
    return performance.now() + Math.max(0, Math.min(expiresAt - this.#now(), expiresAt - createdAt))
  }
}

function flagsOf({ wasDispatched, wasAcknowledged, cancelRequested }: Entry): number[] {
  return [wasDispatched, wasAcknowledged, cancelRequested].map(Number)
}

function compare(a: Entry, b: Entry): number {
  return a.command.createdAt.localeCompare(b.command.createdAt)
}
