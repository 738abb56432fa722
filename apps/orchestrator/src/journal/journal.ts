import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { AioError, orchestratorEventSchema, type Question } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import type {
  CommandFacts,
  FinalEvent,
  JournalAnswer,
  JournalBatch,
  JournalContent,
  JournalOp,
  OutboxItem,
  Unfinished,
} from './journal-format.ts'

/** How long what may be lost in a crash waits for company before it is written, in milliseconds. */
const LINGER_MS = 200

/** Pause before a batch is tried again that the disk did not take, in milliseconds. */
const RETRY_MS = 1_000

/** Commands that ended are remembered this long at least (C-2: seven days), and so many of them whatever their age. */
const KEEP_MS = 8 * 24 * 3_600_000
const KEEP_COMMANDS = 10_000

/** How often those that are older are forgotten, in milliseconds. */
const FORGET_EVERY_MS = 3_600_000

interface Queued {
  op: JournalOp
  resolve: (result: string | undefined) => void
  /** Given when the one who asked would rather hear of a failure than have it tried again. */
  reject: ((error: AioError) => void) | undefined
}

/**
 * The orchestrator's own record of commands and of events on their way (C-2, E-5). A thread of its own waits for the
 * disk; everything that comes up meanwhile is committed together.
 */
export class Journal implements AsyncDisposable {
  readonly content: JournalContent
  /** Rejects when the journal can no longer be written to at all. */
  readonly failed: Promise<never>
  readonly #worker: Worker
  readonly #log: Logger
  readonly #forgetting: NodeJS.Timeout
  #queue: Queued[] = []
  #underWay: Queued[] | undefined
  #timer: NodeJS.Timeout | undefined
  #isScheduled = false
  /** Something waits that shall not linger. */
  #isUrgent = false
  #isFailing = false
  /** The disk is so full that the space kept for what must be written is in use. */
  #isShort = false
  #isClosing = false
  #closed: Promise<void> | undefined
  /** Highest number of an event that the thread was given. */
  #lastPut: number
  #idle = Promise.withResolvers<void>()

  /**
   * Opens the journal, or makes it. One that is damaged is set aside and an empty one begun; the log says so.
   *
   * @throws AioError UPGRADE_REQUIRED when a newer release has written it; INTERNAL when it cannot be opened.
   */
  static async open(options: { path: string; log: Logger }): Promise<Journal> {
    await mkdir(dirname(options.path), { recursive: true, mode: 0o700 })
    const worker = new Worker(new URL('./journal-worker.ts', import.meta.url), { workerData: options.path })
    const answer = await new Promise<JournalAnswer>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    if (answer.type === 'open') return new Journal(worker, answer.content, options.log)
    const [code, why] =
      answer.type === 'refused' ? [answer.code, answer.message] : (['INTERNAL', 'It answered out of turn.'] as const)
    throw new AioError(
      code,
      code === 'UPGRADE_REQUIRED' ? why : `The orchestrator's journal ${options.path} cannot be opened: ${why}`,
    )
  }

  private constructor(worker: Worker, content: JournalContent, log: Logger) {
    this.content = content
    this.#worker = worker
    this.#log = log
    this.#lastPut = content.items.at(-1)?.seq ?? 0
    const failed = Promise.withResolvers<never>()
    this.failed = failed.promise
    this.failed.catch(() => undefined)
    worker.removeAllListeners('error')
    worker.on('message', (answer: JournalAnswer) => this.#answered(answer))
    worker.on('error', (error) =>
      failed.reject(new AioError('INTERNAL', `The orchestrator's journal ended: ${String(error)}`)),
    )
    if (content.setAside !== undefined)
      log.error(
        { setAside: content.setAside.path },
        `the journal was damaged (${content.setAside.reason}) and was set aside; what ran before now is not known any more`,
      )
    this.#forgetting = setInterval(() => this.#forget(), FORGET_EVERY_MS)
    this.#forgetting.unref()
    this.#forget()
  }

  /** Commands that an earlier orchestrator left without an end. */
  get unfinished(): readonly Unfinished[] {
    return this.content.unfinished
  }

  /** How a command ended, if it has. @throws AioError UNAVAILABLE when the journal cannot be read. */
  async find(commandId: string): Promise<FinalEvent | undefined> {
    const text = await this.#ask({ type: 'find', commandId })
    if (text === undefined) return undefined
    const event = orchestratorEventSchema.parse(JSON.parse(text))
    if (event.type === 'command_result' || event.type === 'command_error') return event
    throw new AioError('INTERNAL', `The journal holds ${event.type} as the end of a command.`)
  }

  /**
   * Records that a command begins. Only once this has resolved may it do anything (C-2).
   *
   * @returns false when the journal knows the command already, so that it must not be run.
   * @throws AioError UNAVAILABLE when that cannot be written: then the command must not begin.
   */
  async start(facts: CommandFacts): Promise<boolean> {
    if (this.#isShort) throw refusal('its disk is full, and what is left is kept for the ends of what was begun')
    return (await this.#ask({ type: 'start', facts, at: Date.now() })) !== 'known'
  }

  /** Records how far a command is: what a person is told when it is cut off, so nobody waits for it. */
  step(commandId: string, step: { name: string; state: 'running' | 'done' | 'failed' | 'undone' }): void {
    void this.#add(
      { type: 'step', commandId, name: step.name, state: step.state },
      { isUrgent: step.state === 'running' },
    )
  }

  /** Records how a command ended. What is put into the outbox in the same turn is committed with it. */
  finish(facts: CommandFacts, event: FinalEvent): void {
    const state = event.type === 'command_result' ? 'succeeded' : event.state
    const final = JSON.stringify(event)
    void this.#add({ type: 'finish', facts, at: Date.now(), state, final }, { isUrgent: true })
  }

  /** Keeps an event until the relay has it; resolves once it is on the disk. Progress may be lost in a crash. */
  async put(item: OutboxItem): Promise<void> {
    await this.#add({ type: 'put', item }, { isUrgent: item.kind !== 'progress' })
  }

  /** The relay has all events up to this number: what was not written yet need not be. */
  taken(upTo: number): void {
    this.#queue = this.#queue.filter(({ op, resolve }) => {
      if (op.type === 'taken') return false
      if (op.type !== 'put' || op.item.seq > upTo) return true
      resolve(undefined)
      return false
    })
    if (this.#lastPut === 0) return
    void this.#add({ type: 'taken', upTo }, { isUrgent: false })
    if (this.#lastPut <= upTo) this.#lastPut = 0
  }

  /** These events are given up for want of room; marks say where. */
  drop(seqs: readonly number[], marks: readonly Pick<OutboxItem, 'seq' | 'lost'>[]): void {
    void this.#add({ type: 'drop', seqs, marks }, { isUrgent: false })
  }

  /**
   * Keeps how a question stands; resolves once that is on the disk.
   *
   * @throws AioError UNAVAILABLE when it cannot be written.
   */
  async keepQuestion(question: Question): Promise<void> {
    await this.#ask({ type: 'question', question })
  }

  /** Makes sure that numbers up to this one are never given out again; resolves once that is on the disk. */
  async reserve(upTo: number): Promise<void> {
    await this.#add({ type: 'reserve', upTo }, { isUrgent: true })
  }

  /** Writes what waits and closes the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    clearInterval(this.#forgetting)
    this.#isClosing = true
    this.#schedule()
    if (this.#underWay !== undefined || this.#queue.length > 0) {
      if (this.#isFailing) this.#log.error({ lost: this.#queue.length }, 'the journal could not be written to the end')
      else await Promise.race([this.#idle.promise, this.failed.catch(() => undefined)])
    }
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#worker.postMessage('close')
    await Promise.race([exited, this.failed.catch(() => undefined)])
  }

  #forget(): void {
    void this.#add({ type: 'forget', before: Date.now() - KEEP_MS, keep: KEEP_COMMANDS }, { isUrgent: false })
  }

  async #ask(op: JournalOp): Promise<string | undefined> {
    return await new Promise((resolve, reject) => {
      this.#queue.push({ op, resolve, reject })
      this.#schedule()
    })
  }

  async #add(op: JournalOp, { isUrgent }: { isUrgent: boolean }): Promise<string | undefined> {
    return await new Promise((resolve) => {
      this.#queue.push({ op, resolve, reject: undefined })
      if (isUrgent) this.#schedule()
      else this.#linger(LINGER_MS)
    })
  }

  // At the end of the turn, so that what belongs together is committed together.
  #schedule(): void {
    this.#isUrgent = true
    if (this.#isScheduled || this.#isFailing) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#post()
    })
  }

  #linger(ms: number): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#post()
    }, ms)
    this.#timer.unref()
  }

  #post(): void {
    if (this.#underWay !== undefined || this.#queue.length === 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isUrgent = false
    this.#underWay = this.#queue
    this.#queue = []
    const ops = this.#underWay.map(({ op }) => op)
    for (const op of ops) if (op.type === 'put') this.#lastPut = Math.max(this.#lastPut, op.item.seq)
    const batch: JournalBatch = { ops }
    this.#worker.postMessage(batch)
  }

  #answered(answer: JournalAnswer): void {
    const batch = this.#underWay ?? []
    this.#underWay = undefined
    if (answer.type === 'done') {
      if (this.#isFailing) this.#log.info('the journal can be written again')
      this.#isFailing = false
      this.#setShort(!answer.hasReserve)
      for (const [index, { resolve }] of batch.entries()) resolve(answer.results[index])
      this.#goOn()
    } else {
      this.#refused(batch, answer.type === 'failed' ? answer.message : 'it answered out of turn')
    }
  }

  #setShort(isShort: boolean): void {
    if (isShort && !this.#isShort)
      this.#log.error('the disk of the journal is full: no command is started until there is room')
    if (!isShort && this.#isShort) this.#log.info('there is room for the journal again')
    this.#isShort = isShort
    // The answer to the next batch, an empty one if need be, says whether there is room again.
    if (!isShort || this.#isClosing) return
    this.#linger(RETRY_MS)
    if (this.#queue.length === 0) this.#forget()
  }

  #goOn(): void {
    if (this.#isUrgent || this.#isClosing) this.#post()
    else if (this.#queue.length > 0) this.#linger(LINGER_MS)
    if (this.#underWay !== undefined) return
    if (this.#queue.length > 0) return
    this.#idle.resolve()
    this.#idle = Promise.withResolvers()
  }

  // Nothing begins that cannot be recorded; what has happened is kept here and tried again until the disk takes it.
  #refused(batch: Queued[], why: string): void {
    if (!this.#isFailing) this.#log.error(`the journal cannot be written: ${why}. Is the disk full?`)
    this.#isFailing = true
    const all = [...batch, ...this.#queue]
    this.#queue = all.filter(({ reject }) => reject === undefined)
    for (const { reject } of all) reject?.(refusal(why))
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#linger(RETRY_MS)
    if (this.#isClosing) this.#idle.resolve() // it cannot be waited for
  }
}

function refusal(why: string): AioError {
  return new AioError(
    'UNAVAILABLE',
    `The orchestrator's journal cannot be written, so nothing was started or changed: ${why}. Make room on its disk, then try again.`,
  )
}
