import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { AioError } from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { atEndOfTurn, type EndOfTurn } from '../delivery/turn.ts'
import type { EventRetention, FromWriter, Opened, ToWriter, WriterOptions } from './messages.ts'
import type { StatementName, Value } from './statements.ts'
import { StoreTally } from './store-tally.ts'

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
const NO_RESERVE = 'the disk is full: what is left is kept for the ends of what was begun'

/** How much may wait for the disk. */
export interface BacklogLimits {
  /** Above any of these no more is asked of the disk than must be: calls that change something are refused, machines wait. */
  congestedEntries: number
  congestedBytes: number
  /** Above any of these events are given up, and watchers told of it. */
  maxEntries: number
  maxBytes: number
}

const BACKLOG: BacklogLimits = {
  congestedEntries: 16_384, // four batches
  congestedBytes: 16 * 1024 * 1024,
  maxEntries: 65_536,
  maxBytes: 64 * 1024 * 1024,
}

/**
 * The relay's database. A thread of its own writes it, in batches taken as they come; reads are done here, on a connection
 * that waits for nobody.
 */
export class Store implements EndOfTurn {
  readonly opened: Opened
  readonly tally = new StoreTally()
  /** Number of the oldest event that is kept. */
  firstKept: number
  readonly #worker: Worker
  readonly #reader: DatabaseSync
  readonly #log: Logger
  readonly #queries = new Map<string, StatementSync>()
  readonly #damaged = new Set<string>()
  readonly #limits: BacklogLimits
  #queue: Write[] = []
  /** Bytes of the events in the queue. */
  #queuedBytes = 0
  #onShed: (events: number) => void = () => undefined
  #whenRoom: (() => void)[] = []
  #inFlight: Write[] = []
  /** The thread has a batch and has not answered yet. */
  #isBusy = false
  /** Entries in the queue above which events are given up; grows when much of it must be kept. */
  #shedAbove: number
  #isScheduled = false
  #isClosed = false
  /** Writes added and done so far; who waits for a write waits for its number. */
  #added = 0
  #done = 0
  #waiting: { until: number; resolve: () => void }[] = []
  #trouble: string | undefined
  #retry: NodeJS.Timeout | undefined
  readonly #exited: Promise<unknown>

  private constructor(
    worker: Worker,
    reader: DatabaseSync,
    { opened, log, limits }: { opened: Opened; log: Logger; limits: BacklogLimits },
  ) {
    this.#worker = worker
    this.#reader = reader
    this.#log = log
    this.#limits = limits
    this.#shedAbove = limits.maxEntries
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
  static async open(
    options: {
      path: string
      retention: EventRetention
      log: Logger
      backlog?: Partial<BacklogLimits> | undefined
    } & Partial<Omit<WriterOptions, 'path' | 'retention'>>,
  ): Promise<Store> {
    const { path, retention, log, backlog, reserveBytes, commitDelayMs } = options
    const workerData: WriterOptions = { path, retention, reserveBytes, commitDelayMs }
    const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData, execArgv: [] })
    const opened = await openedBy(worker, path)
    if (opened.setAside !== undefined)
      log.error(
        { path: opened.setAside.path, why: opened.setAside.why },
        'the database was damaged: it was moved away and a new one begun; devices log in again, and commands from before are not known',
      )
    const limits = { ...BACKLOG, ...backlog }
    const store = new Store(worker, new DatabaseSync(path, { readOnly: true, timeout: 1_000 }), { opened, log, limits })
    store.#setReserve(opened.hasReserve)
    return store
  }

  /** Why nothing can be written at present; `undefined` when all is well. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Changes that wait to be written. */
  get backlog(): number {
    return this.#queue.length + this.#inFlight.length
  }

  /** True while so much waits for the disk that no more should be asked of it. */
  get isCongested(): boolean {
    return this.#queue.length > this.#limits.congestedEntries || this.#queuedBytes > this.#limits.congestedBytes
  }

  /** Resolves once it is not congested. */
  async room(): Promise<void> {
    while (this.isCongested) await new Promise<void>((resolve) => this.#whenRoom.push(resolve))
  }

  /** Calls back when events had to be given up because the disk has taken none for long. */
  onShed(listener: (events: number) => void): void {
    this.#onShed = listener
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
    this.#queuedBytes += bytesOf(write)
    this.#added += 1
    this.#schedule()
    if (this.#queue.length > this.#shedAbove || this.#queuedBytes > this.#limits.maxBytes) this.#shed()
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
    const isPausing = this.#retry !== undefined && this.#trouble !== NO_RESERVE
    if (this.#isScheduled || this.#isBusy || isPausing) return
    this.#isScheduled = true
    atEndOfTurn(this)
  }

  /** Hands over what this turn has brought. */
  endOfTurn(): void {
    this.#isScheduled = false
    this.#send()
  }

  #send(): void {
    // An empty batch while something is wrong: its answer says whether it still is.
    if (this.#isBusy || this.#isClosed || (this.#queue.length === 0 && this.#trouble === undefined)) return
    this.#isBusy = true
    this.#inFlight = this.#queue.splice(0, BATCH_MAX)
    for (const write of this.#inFlight) this.#queuedBytes -= bytesOf(write)
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

  #written({ firstSeq, firstKept, commitMs, hasReserve }: Extract<FromWriter, { type: 'written' }>): void {
    this.#setReserve(hasReserve)
    this.firstKept = firstKept
    const batch = this.#inFlight
    this.#inFlight = []
    this.#isBusy = false
    this.#done += batch.length
    this.tally.entries += batch.length
    this.tally.batchEntries.add(batch.length)
    this.tally.commitSeconds.add(commitMs / 1_000)
    let seq = firstSeq
    for (const { statement, onCommitted } of batch) onCommitted?.(statement === 'event' ? seq++ : 0)
    while (this.#waiting[0] !== undefined && this.#waiting[0].until <= this.#done) this.#waiting.shift()?.resolve()
    if (!this.isCongested) for (const resolve of this.#whenRoom.splice(0)) resolve()
    if (this.#queue.length > 0) this.#schedule()
  }

  /** It can be written; without its reserve only what must be, until there is room to make that again. */
  #setReserve(isThere: boolean): void {
    if (isThere) {
      if (this.#trouble !== undefined) this.#log.info({}, 'the database can be written again')
      this.#trouble = undefined
      return
    }
    if (this.#trouble !== NO_RESERVE)
      this.#log.error({ why: NO_RESERVE }, 'no command is accepted until there is room again')
    this.#trouble = NO_RESERVE
    if (this.#queue.length === 0) this.#sendLater()
  }

  #sendLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#send()
    }, RETRY_MS)
  }

  /**
   * Gives up all events that wait, and what has been overtaken by a later change of the same thing. The ends of commands, tokens
   * and the audit stay.
   */
  #shed(): void {
    const kept: Write[] = []
    const later = new Set<string>()
    /** How many entries before each place in the queue are given up. */
    const before: number[] = []
    let events = 0
    for (const write of this.#queue.toReversed()) if (!isOvertaken(write, later)) kept.push(write)
    const stays = new Set(kept)
    let gone = 0
    for (const write of this.#queue) {
      before.push(gone)
      if (stays.has(write)) continue
      gone += 1
      if (write.statement === 'event') events += 1
    }
    const first = this.#added - this.#queue.length
    for (const waiter of this.#waiting)
      waiter.until -= waiter.until <= first ? 0 : (before[waiter.until - first] ?? gone)
    this.#added -= gone
    this.#queue = kept.reverse()
    this.#shedAbove = Math.max(this.#limits.maxEntries, kept.length * 2)
    this.#queuedBytes = 0
    this.#log.error({ events }, 'the disk has not kept up for long: events were given up, and watchers are told of it')
    if (events > 0) this.#onShed(events)
  }

  #failed(why: string): void {
    this.tally.failures += 1
    if (this.#trouble === undefined)
      this.#log.error({ why }, 'the database cannot be written: no command is accepted until it can')
    this.#trouble = why
    const all = [...this.#inFlight, ...this.#queue]
    this.#inFlight = []
    this.#isBusy = false
    this.#queue = all.map((write) => write.refusal?.undo ?? write)
    this.#queuedBytes = this.#queue.reduce((sum, write) => sum + bytesOf(write), 0)
    this.#sendLater()
    const error = this.refusal()
    for (const { refusal } of all) refusal?.onRefused(error)
  }

  #lost(error: unknown): void {
    this.#log.fatal({ err: error }, 'the thread that writes the database has ended; restart the relay')
    this.#failed('its thread has ended; restart the relay')
  }
}

function bytesOf({ statement, values }: Write): number {
  const body = statement === 'event' ? values[1] : undefined
  return typeof body === 'string' ? body.length : 0
}

/** Tells whether a change can be given up: it is an event, or one of these that is noted as overtaken. Notes what it overtakes. */
function isOvertaken({ statement, values, onCommitted }: Write, later: Set<string>): boolean {
  if (statement === 'event') return true
  const key = keyOf(statement, values)
  if (key === undefined) return false
  const isOld = later.has(key) && onCommitted === undefined
  later.add(key)
  return isOld
}

function keyOf(statement: StatementName, values: Value[]): string | undefined {
  switch (statement) {
    case 'putFleet':
    case 'dropFleet':
      return JSON.stringify([statement, ...values.slice(0, 3)])
    case 'hostLeft':
      return JSON.stringify([statement, values[1]])
    case 'putMeta':
      return JSON.stringify([statement, values[0]])
    case 'changeCommand':
      return JSON.stringify([statement, values.at(-1)])
    default:
      return undefined
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
