import {
  type Actor,
  AioError,
  type CommandInput,
  describeIssues,
  LIMITS,
  type OrchestratorEvent,
  type Question,
  questionEventType,
  questionSchema,
  type RuleMatch,
} from '@ai-orchestration/protocol'
import { monotonicFactory } from 'ulid'
import type { Journal } from '../journal/journal.ts'
import type { Logger } from '../log.ts'
import type { Rules } from './rules.ts'

/** What whoever asks says of a question; the rest is filled in. */
export type QuestionDraft = Question extends infer Q
  ? Q extends Question
    ? Pick<Q, 'kind' | 'sessionId' | 'projectId' | 'title' | 'detail' | 'options'> & {
        /** It expires after so many milliseconds; it waits for ever when absent. */
        expiresInMs?: number
      }
    : never
  : never

/** What of the journal questions use. */
export type QuestionJournal = Pick<Journal, 'keepQuestion'>

/** So many that wait no more are remembered and told to the relay; the journal keeps as many. */
const SETTLED_MAX = 50
/** Longest time a timer takes, in milliseconds; a longer one would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

/**
 * Questions to people: asked once, answered once, kept in the journal until then. They outlive this process, the relay
 * and whoever asked; an answer that says "always" becomes a rule before it counts.
 */
export class Questions implements Disposable {
  readonly #journal: QuestionJournal
  readonly #rules: Rules
  readonly #log: Logger
  readonly #orchestratorId: string
  readonly #now: () => number
  /** Ids sort by when they were asked, also those of one millisecond. */
  readonly #newId = monotonicFactory()
  /** By id, oldest first. */
  readonly #questions = new Map<string, Question>()
  /** Those whose answer is being written: another one comes too late. */
  readonly #answering = new Map<string, Actor>()
  readonly #waiting = new Map<string, PromiseWithResolvers<Question>>()
  readonly #timers = new Map<string, NodeJS.Timeout>()
  readonly #listeners = new Set<(event: OrchestratorEvent) => void>()

  /** @param kept the questions of the journal, oldest first. */
  constructor(options: {
    journal: QuestionJournal
    rules: Rules
    log: Logger
    orchestratorId: string
    kept: readonly Question[]
    now?: () => number
  }) {
    this.#journal = options.journal
    this.#rules = options.rules
    this.#log = options.log
    this.#orchestratorId = options.orchestratorId
    this.#now = options.now ?? Date.now
    for (const question of options.kept) {
      this.#questions.set(question.id, question)
      this.#watchTime(question)
    }
  }

  /** All that wait, and the latest of those that do not; oldest first. */
  list(): Question[] {
    return [...this.#questions.values()]
  }

  /** One question, if it is known. */
  get(id: string): Question | undefined {
    return this.#questions.get(id)
  }

  /** The one that waits and fits, if there is one: the same thing is not asked twice. */
  findPending(sessionId: string, fits: (question: Question) => boolean): Question | undefined {
    return this.list().find(
      (question) => question.state === 'pending' && question.sessionId === sessionId && fits(question),
    )
  }

  /**
   * Asks. It is in the journal soon after; what a crash takes back before that was never seen for long.
   *
   * @throws AioError LIMIT when too many of the session wait; INVALID_INPUT when it is too large or not valid.
   */
  ask({ expiresInMs, ...draft }: QuestionDraft): Question {
    const waiting = this.list().filter(({ state, sessionId }) => state === 'pending' && sessionId === draft.sessionId)
    if (waiting.length >= LIMITS.questionsPerSessionMax)
      throw new AioError(
        'LIMIT',
        `The session ${draft.sessionId} has ${waiting.length} questions that wait. Answer some first: aio inbox`,
      )
    const now = this.#now()
    const parsed = questionSchema.safeParse({
      ...draft,
      id: this.#newId(now),
      orchestratorId: this.#orchestratorId,
      createdAt: new Date(now).toISOString(),
      state: 'pending',
      ...(expiresInMs === undefined ? {} : { expiresAt: new Date(now + expiresInMs).toISOString() }),
    })
    if (!parsed.success)
      throw new AioError('INVALID_INPUT', `The question is not valid. ${describeIssues(parsed.error)}`)
    const bytes = Buffer.byteLength(JSON.stringify(parsed.data))
    if (bytes > LIMITS.questionMaxBytes)
      throw new AioError('INVALID_INPUT', `A question has at most ${LIMITS.questionMaxBytes} bytes, this one ${bytes}.`)
    this.#keepAside(parsed.data)
    this.#put(parsed.data)
    this.#watchTime(parsed.data)
    return parsed.data
  }

  /**
   * Answers a question, once. When this has resolved the answer is on disk, with the rule that it made.
   *
   * @throws AioError NOT_FOUND; INVALID_INPUT when there is no such option; CONFLICT that says who answered before;
   * UNAVAILABLE when it cannot be kept: then it waits on.
   */
  async answer({ questionId, optionId, text }: CommandInput<'answer_question'>, by: Actor): Promise<Question> {
    const question = this.#questions.get(questionId)
    if (question === undefined)
      throw new AioError('NOT_FOUND', `There is no question ${questionId} on this machine. See: aio inbox`)
    const option = question.options.find(({ id }) => id === optionId)
    const earlier = this.#answering.get(questionId)
    if (question.state !== 'pending' || earlier !== undefined) throw tooLate(question, earlier)
    if (option === undefined)
      throw new AioError(
        'INVALID_INPUT',
        `This question has no option ${JSON.stringify(optionId)}. Use one of: ${question.options.map(({ id }) => id).join(', ')}.`,
      )
    this.#answering.set(questionId, by)
    try {
      const match = matchOf(question)
      if (option.always !== undefined && match !== undefined && option.style !== 'neutral')
        await this.#rules.add({
          ...{ sessionId: question.sessionId, scope: option.always, match, verdict: option.style, by, questionId },
        })
      const at = new Date(this.#now()).toISOString()
      const answered: Question = {
        ...question,
        state: 'answered',
        answer: { optionId, ...(text === undefined ? {} : { text }), by, at },
      }
      await this.#journal.keepQuestion(answered)
      this.#settle(answered)
      return answered
    } finally {
      this.#answering.delete(questionId)
    }
  }

  /** Takes questions back that no longer matter. */
  withdraw(fits: (question: Question) => boolean): void {
    for (const question of this.list()) if (fits(question)) this.#giveUp(question, 'withdrawn')
  }

  /** Resolves once a question waits no more. @throws the signal's reason when that is aborted first; AioError NOT_FOUND. */
  async settled(id: string, signal: AbortSignal): Promise<Question> {
    const question = this.#questions.get(id)
    if (question === undefined) throw new AioError('NOT_FOUND', `There is no question ${id} on this machine.`)
    if (question.state !== 'pending') return question
    signal.throwIfAborted()
    const waiting = this.#waiting.get(id) ?? Promise.withResolvers<Question>()
    this.#waiting.set(id, waiting)
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([waiting.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Calls back for every question that is asked or settled. @returns the way to stop it. */
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Stops the clocks; the questions wait on in the journal. */
  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #giveUp(question: Question, state: 'withdrawn' | 'expired'): void {
    if (question.state !== 'pending' || this.#answering.has(question.id)) return
    const settled: Question = { ...question, state }
    this.#keepAside(settled)
    this.#settle(settled)
  }

  #settle(question: Question): void {
    clearTimeout(this.#timers.get(question.id))
    this.#timers.delete(question.id)
    this.#put(question)
    this.#waiting.get(question.id)?.resolve(question)
    this.#waiting.delete(question.id)
    const settled = this.list().filter(({ state }) => state !== 'pending')
    for (const { id } of settled.slice(0, Math.max(0, settled.length - SETTLED_MAX))) this.#questions.delete(id)
  }

  #put(question: Question): void {
    this.#questions.set(question.id, question)
    const { projectId, sessionId } = question
    const event: OrchestratorEvent = { type: questionEventType(question.state), projectId, sessionId, question }
    for (const listener of this.#listeners) listener(event)
  }

  #keepAside(question: Question): void {
    this.#journal
      .keepQuestion(question)
      .catch((error: unknown) => this.#log.error({ err: error, question: question.id }, 'a question could not be kept'))
  }

  // The wall clock decides, since only that goes on over a restart; it is looked at again when a timer is over.
  #watchTime(question: Question): void {
    if (question.state !== 'pending' || question.expiresAt === undefined) return
    const leftMs = Date.parse(question.expiresAt) - this.#now()
    const look = () => {
      if (Date.parse(question.expiresAt ?? '') <= this.#now()) this.#giveUp(question, 'expired')
      else this.#watchTime(question)
    }
    this.#timers.set(question.id, setTimeout(look, Math.min(Math.max(leftMs, 0), TIMER_MAX_MS)).unref())
  }
}

/** What a rule would go by that answers the same question for good; some questions have none. */
function matchOf(question: Question): RuleMatch | undefined {
  switch (question.kind) {
    case 'egress':
      return { kind: 'egress', host: question.detail.host, port: question.detail.port }
    case 'tool':
      return { kind: 'tool', tool: question.detail.tool }
    case 'agent':
    case 'budget':
      return undefined
    default:
      return question satisfies never
  }
}

function tooLate(question: Question, answering: Actor | undefined): AioError {
  const { answer, state } = question
  const by = answer?.by ?? answering
  if (by !== undefined) {
    const how = answer === undefined ? '' : ` with ${JSON.stringify(answer.optionId)} at ${answer.at}`
    return new AioError('CONFLICT', `This question was answered by ${by.name}${how}; the first answer counts.`, {
      details: { state, ...(answer === undefined ? {} : { answer }) },
    })
  }
  const why = state === 'expired' ? 'its time was over' : 'it no longer matters'
  return new AioError('CONFLICT', `This question can no longer be answered: ${why}.`, { details: { state } })
}
