import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AioError,
  type Budget,
  parseSessionId,
  type Question,
  type QuestionOption,
  type RuleScope,
  type Usage,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import type { Logger } from '../log.ts'
import type { Questions } from '../question/questions.ts'
import { sumOf, tokensOf, type UsageBook } from './usage-book.ts'

/** The budgets that hold for a session: its own, and that of all sessions of its project together. */
export interface BudgetPlan {
  session: Budget | undefined
  project: Budget | undefined
}

/** What budgets need to know of sessions and to do with them. */
export interface BudgetSessions {
  planOf(sessionId: string): BudgetPlan
  createdAt(sessionId: string): string | undefined
  ofProject(projectId: string): readonly string[]
  /** Where a project's files lie. */
  directoryOf(projectId: string): string
  /** Stops all processes of a session where they are. */
  freeze(sessionId: string): Promise<void>
  /** Lets them go on, when they were stopped for this. */
  thaw(sessionId: string): Promise<void>
}

type Reached = Extract<Question, { kind: 'budget' }>['detail']['reached']
/** How often as much again was allowed, or that there is no limit any more. */
type Grant = number | 'unlimited'

interface Overrun {
  key: string
  scope: RuleScope
  budget: Budget
  usage: Usage
  reached: Reached
}

const OPTIONS: QuestionOption[] = [
  { id: 'more', label: 'Go on with as much again', style: 'allow' },
  { id: 'unlimited', label: 'Go on without a limit', style: 'allow' },
  { id: 'refuse', label: 'No more', style: 'deny' },
]

const fileSchema = z.strictObject({
  version: z.literal(1),
  grants: z.record(z.string(), z.union([z.number().int().positive(), z.literal('unlimited')])),
})

/**
 * Holds the next call of the model when a budget is used up, freezes its session and asks a person, instead of ending
 * anything. What was allowed beyond a budget is kept beside the project, in `budget.json`.
 */
export class Budgets {
  readonly #questions: Questions
  readonly #usage: UsageBook
  readonly #sessions: BudgetSessions
  readonly #log: Logger
  readonly #now: () => number
  /** By project, then by what the budget is of. */
  readonly #grants = new Map<string, Map<string, Grant>>()
  readonly #refused = new Set<string>()
  /** Sessions that wait for an answer, by question. */
  readonly #frozen = new Map<string, Set<string>>()
  #lastWrite: Promise<unknown> = Promise.resolve()

  /** Reads what was allowed before; where that cannot be read, budgets count as they are set. */
  static async open(options: {
    questions: Questions
    usage: UsageBook
    sessions: BudgetSessions
    log: Logger
    projects: { list(): readonly { id: string }[] }
    now?: () => number
  }): Promise<Budgets> {
    const budgets = new Budgets(options)
    for (const { id } of options.projects.list())
      await budgets.#load(id).catch((error: unknown) => options.log.error({ err: error }, 'a raised budget is lost'))
    return budgets
  }

  private constructor(options: {
    questions: Questions
    usage: UsageBook
    sessions: BudgetSessions
    log: Logger
    now?: () => number
  }) {
    this.#questions = options.questions
    this.#usage = options.usage
    this.#sessions = options.sessions
    this.#log = options.log
    this.#now = options.now ?? Date.now
    options.questions.onChange((event) => {
      if (event.type === 'question_answered') this.#answered(event.question)
    })
  }

  async #load(projectId: string): Promise<void> {
    const path = this.#pathOf(projectId)
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) return
    try {
      this.#grants.set(projectId, new Map(Object.entries(fileSchema.parse(JSON.parse(text)).grants)))
    } catch (error) {
      throw new AioError('INVALID_INPUT', `${path} is not valid, so budgets count as they are set.`, { cause: error })
    }
  }

  /** Lets a call of the model through, or waits until a person has said what is to become of it. @throws the signal's reason. */
  async admit(
    sessionId: string,
    signal: AbortSignal,
  ): Promise<{ isAllowed: true } | { isAllowed: false; reason: string }> {
    for (;;) {
      const overrun = this.#overrun(sessionId)
      if (overrun === undefined) return { isAllowed: true }
      if (this.#refused.has(overrun.key)) return { isAllowed: false, reason: refusalOf(overrun) }
      const question = this.#questionFor(sessionId, overrun)
      await this.#freeze(question.id, sessionId)
      const settled = await this.#questions.settled(question.id, signal)
      if (settled.state !== 'answered') return { isAllowed: false, reason: refusalOf(overrun) }
    }
  }

  #overrun(sessionId: string): Overrun | undefined {
    const projectId = projectOf(sessionId)
    const plan = this.#sessions.planOf(sessionId)
    const createdAt = this.#sessions.createdAt(sessionId)
    const minutes = createdAt === undefined ? 0 : (this.#now() - Date.parse(createdAt)) / 60_000
    const own = this.#usage.of(sessionId)
    const all = sumOf(this.#sessions.ofProject(projectId).map((id) => this.#usage.of(id)))
    const candidates = [
      { key: `session:${sessionId}`, scope: 'session' as const, budget: plan.session, usage: own, minutes },
      { key: `project:${projectId}`, scope: 'project' as const, budget: plan.project, usage: all, minutes: 0 },
    ]
    for (const { key, scope, budget, usage, minutes } of candidates) {
      const raised = budget === undefined ? undefined : raise(budget, this.#grants.get(projectId)?.get(key))
      const reached = raised === undefined ? undefined : reachedOf(raised, usage, minutes)
      if (raised !== undefined && reached !== undefined) return { key, scope, budget: raised, usage, reached }
    }
    return undefined
  }

  #questionFor(sessionId: string, { scope, budget, usage, reached }: Overrun): Question {
    const projectId = projectOf(sessionId)
    const owners = scope === 'session' ? [sessionId] : this.#sessions.ofProject(projectId)
    for (const owner of owners) {
      const pending = this.#questions.findPending(
        owner,
        ({ kind, detail }) => kind === 'budget' && 'scope' in detail && detail.scope === scope,
      )
      if (pending !== undefined) return pending
    }
    const whose = scope === 'session' ? `The session ${sessionId}` : `The project ${projectId}`
    return this.#questions.ask({
      kind: 'budget',
      sessionId,
      projectId,
      title: `${whose} has used up its budget of ${amountOf(budget, reached)}. May it go on?`,
      detail: { scope, budget, usage, reached },
      options: OPTIONS,
    })
  }

  async #freeze(questionId: string, sessionId: string): Promise<void> {
    const frozen = this.#frozen.get(questionId) ?? new Set<string>()
    this.#frozen.set(questionId, frozen)
    if (frozen.has(sessionId)) return
    frozen.add(sessionId)
    // The call is held in any case, so the session cannot use more of the model.
    await this.#sessions
      .freeze(sessionId)
      .catch((error: unknown) => this.#log.warn({ sessionId, err: error }, 'a session over its budget was not frozen'))
    if (this.#questions.get(questionId)?.state !== 'pending') await this.#thaw(sessionId)
  }

  #answered(question: Question): void {
    if (question.kind !== 'budget') return
    const { scope } = question.detail
    const key = scope === 'session' ? `session:${question.sessionId}` : `project:${question.projectId}`
    const grants = this.#grants.get(question.projectId) ?? new Map<string, Grant>()
    this.#grants.set(question.projectId, grants)
    const before = grants.get(key) ?? 0
    if (question.answer?.optionId === 'more' && before !== 'unlimited') grants.set(key, before + 1)
    if (question.answer?.optionId === 'unlimited') grants.set(key, 'unlimited')
    if (question.answer?.optionId === 'refuse') this.#refused.add(key)
    else this.#keep(question.projectId)
    // Also those that an orchestrator before this one had frozen.
    this.#frozen.delete(question.id)
    const held = scope === 'session' ? [question.sessionId] : this.#sessions.ofProject(question.projectId)
    for (const sessionId of held) void this.#thaw(sessionId)
  }

  async #thaw(sessionId: string): Promise<void> {
    await this.#sessions
      .thaw(sessionId)
      .catch((error: unknown) => this.#log.warn({ sessionId, err: error }, 'a session could not be thawed'))
  }

  #keep(projectId: string): void {
    const write = async () => {
      const grants = Object.fromEntries(this.#grants.get(projectId) ?? [])
      await writeFileDurably(this.#pathOf(projectId), `${JSON.stringify({ version: 1, grants })}\n`, 0o600)
    }
    // What is not kept is asked again.
    this.#lastWrite = this.#lastWrite
      .then(write)
      .catch((error: unknown) => this.#log.warn({ projectId, err: error }, 'a raised budget could not be kept'))
  }

  #pathOf(projectId: string): string {
    return join(this.#sessions.directoryOf(projectId), 'budget.json')
  }
}

function raise(budget: Budget, grant: Grant = 0): Budget | undefined {
  if (grant === 'unlimited') return undefined
  const times = (limit: number | undefined) => (limit === undefined ? undefined : limit * (1 + grant))
  const [tokens, costUsd, turns, minutes] = [budget.tokens, budget.costUsd, budget.turns, budget.minutes].map(times)
  return {
    ...(tokens === undefined ? {} : { tokens }),
    ...(costUsd === undefined ? {} : { costUsd }),
    ...(turns === undefined ? {} : { turns }),
    ...(minutes === undefined ? {} : { minutes }),
  }
}

function reachedOf(budget: Budget, usage: Usage, minutes: number): Reached | undefined {
  const isReached = (limit: number | undefined, used: number) => limit !== undefined && used >= limit
  if (isReached(budget.tokens, tokensOf(usage))) return 'tokens'
  if (isReached(budget.costUsd, usage.costUsd ?? 0)) return 'costUsd'
  if (isReached(budget.turns, usage.turns)) return 'turns'
  return isReached(budget.minutes, minutes) ? 'minutes' : undefined
}

function amountOf(budget: Budget, reached: Reached): string {
  const limit = budget[reached] ?? 0
  switch (reached) {
    case 'tokens':
      return `${limit} tokens`
    case 'costUsd':
      return `${limit.toFixed(2)} US dollars`
    case 'turns':
      return `${limit} turns`
    case 'minutes':
      return `${limit} minutes`
    default:
      return reached satisfies never
  }
}

function refusalOf({ scope, budget, reached }: Overrun): string {
  return `The ${scope} has used up its budget of ${amountOf(budget, reached)}, and a person has allowed no more. Raise it in project.toml.`
}

function projectOf(sessionId: string): string {
  return parseSessionId(sessionId)?.projectId ?? ''
}
