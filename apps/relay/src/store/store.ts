import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { AioError } from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { atEndOfTurn, type EndOfTurn } from '../delivery/turn.ts'
import type { EventRetention, FromWriter, Opened, ToWriter, WriterOptions } from './messages.ts'
import type { StatementName, Value } from './statements.ts'

/** One change of the database. Changes are written in the order they were added, and what was added in one turn in one batch. */
export interface Write {
  statement: StatementName
  values: Value[]
  /** It is on stable storage; for an `event` with its number. */
  onCommitted?: (seq: number) => void
  /** When given, a failure refuses this write instead of trying it again for as long as it takes. */
  refusal?: {
    /** Takes its place: makes sure that it is not there, however far the failed attempt got. */
    undo: Write
    onRefused: (error: AioError) => void
  }
}

/** A row as it was read. */
export type Row = Record<string, SQLOutputValue>

const BATCH_MAX = 4_096 // writes in one transaction
const RETRY_MS = 1_000
const CLOSE_MS = 2_000

/**
 * The relay's database. A thread of its own writes it, in batches taken as they come; reads are done here, on a connection
 * that waits for nobody.
 */
export class Store implements EndOfTurn {
  readonly opened: Opened
  /** Number of the oldest event that is kept. */
  firstKept: number
  readonly #worker: Worker
  readonly #reader: DatabaseSync
  readonly #log: Logger
  readonly #queries = new Map<string, StatementSync>()
  readonly #damaged = new Set<string>()
  #queue: Write[] = []
  #inFlight: Write[] = []
  #isScheduled = false
  #isClosed = false
  /** Writes added and done so far; who waits for a write waits for its number. */
  #added = 0
  #done = 0
  #waiting: { until: number; resolve: () => void }[] = []
  #trouble: string | undefined
  #retry: NodeJS.Timeout | undefined
  readonly #exited: Promise<unknown>

  private constructor(worker: Worker, reader: DatabaseSync, opened: Opened, log: Logger) {
    this.#worker = worker
    this.#reader = reader
    this.#log = log
    this.opened = opened
    this.firstKept = opened.first
    this.#exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.on('message', (message: FromWriter) => this.#take(message))
    worker.on('error', (error) => this.#lost(error))
  }

  /**
   * Opens or makes the database.
   *
   * @throws AioError UPGRADE_REQUIRED when a newer relay wrote it, CONFLICT when another relay uses it, INTERNAL when it cannot
   *   be opened.
   */
  static async open(options: { path: string; retention: EventRetention; log: Logger }): Promise<Store> {
    const { path, retention, log } = options
    const workerData: WriterOptions = { path, retention }
    const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData, execArgv: [] })
    const opened = await openedBy(worker, path)
    if (opened.setAside !== undefined)
      log.error(
        { path: opened.setAside.path, why: opened.setAside.why },
        'the database was damaged: it was moved away and a new one begun; devices log in again, and commands from before are not known',
      )
    return new Store(worker, new DatabaseSync(path, { readOnly: true, timeout: 1_000 }), opened, log)
  }

  /** Why nothing can be written at present; `undefined` when all is well. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** What to tell whoever wants something kept while nothing can be. */
  refusal(): AioError {
    return new AioError(
      'UNAVAILABLE',
      `The relay cannot write its database (${this.#trouble ?? 'it is being closed'}), so nothing was started. Look at the free space and the health of its disk; it goes on by itself once that is mended.`,
    )
  }

  /** A row was read that is not what was written: says so, once per row. */
  reportDamage(table: string, key: string | number): void {
    if (this.isDamaged(table, key)) return
    this.#damaged.add(`${table} ${key}`)
    this.#log.error(
      { table, key },
      'a row of the database was damaged since it was written: it is not used, and whoever needs it is told. Look at the health of the disk',
    )
  }

  /** Tells whether this row was reported. */
  isDamaged(table: string, key: string | number): boolean {
    return this.#damaged.has(`${table} ${key}`)
  }

  /** Adds a change; without effect once closed. */
  add(write: Write): void {
    if (this.#isClosed) return
    this.#queue.push(write)
    this.#added += 1
    this.#schedule()
  }

  /** Resolves once everything added so far is on stable storage, or was refused. */
  settled(): Promise<void> {
    if (this.#done === this.#added) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push({ until: this.#added, resolve })
    })
  }

  /** Rows of a query, of what is on stable storage. */
  rows(query: string, ...values: Value[]): Row[] {
    return this.#query(query).all(...values)
  }

  /** Rows of a query, one at a time. */
  each(query: string, ...values: Value[]): Iterable<Row> {
    return this.#query(query).iterate(...values)
  }

  /** Writes what is waiting, for two seconds at most, and closes the database. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS)
    })
    await Promise.race([this.settled(), late])
    clearTimeout(timer)
    clearTimeout(this.#retry)
    this.#isClosed = true
    this.#reader.close()
    this.#worker.postMessage({ type: 'close' } satisfies ToWriter)
    await this.#exited
  }

  #query(query: string): StatementSync {
    const known = this.#queries.get(query)
    if (known !== undefined) return known
    const prepared = this.#reader.prepare(query)
    this.#queries.set(query, prepared)
    return prepared
  }

  // At the end of the turn: a batch costs as much as twenty writes, and nothing is read in between that could wait for it.
  #schedule(): void {
    if (this.#isScheduled || this.#inFlight.length > 0 || this.#retry !== undefined) return
    this.#isScheduled = true
    atEndOfTurn(this)
  }

  /** Hands over what this turn has brought. */
  endOfTurn(): void {
    this.#isScheduled = false
    this.#send()
  }

  #send(): void {
    if (this.#inFlight.length > 0 || this.#queue.length === 0 || this.#isClosed) return
    this.#inFlight = this.#queue.splice(0, BATCH_MAX)
    const writes = this.#inFlight.map(({ statement, values }): [StatementName, Value[]] => [statement, values])
    this.#worker.postMessage({ type: 'write', writes } satisfies ToWriter)
  }

  #take(message: FromWriter): void {
    switch (message.type) {
      case 'written':
        this.#written(message)
        return
      case 'failed':
        this.#failed(message.message)
        return
      case 'untidy':
        this.#log.warn({ why: message.message }, 'what is too old could not be removed from the database')
        return
      case 'opened':
      case 'refused':
        return // taken before this listener was there
      default:
        message satisfies never
    }
  }

  #written({ firstSeq, firstKept }: { firstSeq: number; firstKept: number }): void {
    if (this.#trouble !== undefined) this.#log.info({}, 'the database can be written again')
    this.#trouble = undefined
    this.firstKept = firstKept
    const batch = this.#inFlight
    this.#inFlight = []
    this.#done += batch.length
    let seq = firstSeq
    for (const { statement, onCommitted } of batch) onCommitted?.(statement === 'event' ? seq++ : 0)
    while (this.#waiting[0] !== undefined && this.#waiting[0].until <= this.#done) this.#waiting.shift()?.resolve()
    if (this.#queue.length > 0) this.#schedule()
  }

  #failed(why: string): void {
    if (this.#trouble === undefined)
      this.#log.error({ why }, 'the database cannot be written: no command is accepted until it can')
    this.#trouble = why
    const all = [...this.#inFlight, ...this.#queue]
    this.#inFlight = []
    this.#queue = all.map((write) => write.refusal?.undo ?? write)
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#send()
    }, RETRY_MS)
    const error = this.refusal()
    for (const { refusal } of all) refusal?.onRefused(error)
  }

  #lost(error: unknown): void {
    this.#log.fatal({ err: error }, 'the thread that writes the database has ended; restart the relay')
    this.#failed('its thread has ended; restart the relay')
  }
}

function openedBy(worker: Worker, path: string): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) =>
      reject(new AioError('INTERNAL', `The database ${path} could not be opened: ${String(error)}.`, { cause: error }))
    worker.once('error', failed)
    worker.once('message', (message: FromWriter) => {
      worker.off('error', failed)
      if (message.type === 'opened') resolve(message.opened)
      else if (message.type === 'refused') reject(refused(message, path))
      else failed(`it answered ${message.type} before it was open`)
    })
  })
}

function refused({ code, message }: Extract<FromWriter, { type: 'refused' }>, path: string): AioError {
  if (code !== 'INTERNAL') return new AioError(code, message)
  return new AioError(
    'INTERNAL',
    `The database ${path} could not be opened: ${message}. Look at its disk and its owner.`,
  )
}
