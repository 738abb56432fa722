import { type InboxFilter, type OrchestratorEvent, type Question, questionEventType } from '@ai-orchestration/protocol'
import { noQuestion } from '../fleet/missing.ts'
import type { Journal } from '../journal/journal.ts'

/** Events about questions. */
export type QuestionEvent = Extract<OrchestratorEvent, { type: `question_${string}` }>

/** So many questions that wait no more are kept for those who look back; their orchestrators keep more. */
const SETTLED_MAX = 500

/** The questions of all machines to people, as the orchestrators asked them: the one inbox. */
export class Inbox {
  readonly #journal: Journal
  /** By id, oldest first. */
  readonly #questions = new Map<string, Question>()

  constructor(options: { journal: Journal }) {
    this.#journal = options.journal
  }

  /** Questions, oldest first; those that wait unless another state is asked for. */
  list({ sessionId, projectId, state = 'pending' }: InboxFilter = {}): Question[] {
    return [...this.#questions.values()]
      .filter(
        (question) =>
          question.state === state &&
          (sessionId === undefined || question.sessionId === sessionId) &&
          (projectId === undefined || question.projectId === projectId),
      )
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** One question, if it is known. */
  get(questionId: string): Question | undefined {
    return this.#questions.get(questionId)
  }

  /** @throws AioError NOT_FOUND */
  require(questionId: string): Question {
    const question = this.#questions.get(questionId)
    if (question !== undefined) return question
    throw noQuestion(questionId)
  }

  /** Takes over what waited before the relay restarted. */
  restore(questions: readonly Question[]): void {
    for (const question of questions) this.#questions.set(question.id, question)
  }

  /** A machine came online with these questions; what it does not know any more was withdrawn. */
  joined(orchestratorId: string, reported: readonly Question[], isKnown: (orchestratorId: string) => boolean): void {
    const ids = new Set(reported.map(({ id }) => id))
    for (const question of this.list()) {
      const isGone =
        question.orchestratorId === orchestratorId ? !ids.has(question.id) : !isKnown(question.orchestratorId)
      if (isGone) this.#put({ ...question, state: 'withdrawn' })
    }
    for (const question of reported) {
      // How an old one was settled is no news.
      if (question.state === 'pending' || this.#questions.has(question.id)) this.#put({ ...question, orchestratorId })
      else this.#keep({ ...question, orchestratorId })
    }
  }

  /** Takes over what a machine says of a question; it speaks for itself only. */
  apply(orchestratorId: string, { question }: QuestionEvent): void {
    const known = this.#questions.get(question.id)
    if (known !== undefined && known.orchestratorId !== orchestratorId) return
    this.#put({ ...question, orchestratorId })
  }

  // What is settled stays so: an event that was on its way since before may come behind the registration.
  #put(question: Question): void {
    const known = this.#questions.get(question.id)
    if (known !== undefined && (known.state !== 'pending' || question.state === 'pending')) return
    this.#keep(question)
    const { orchestratorId, projectId, sessionId } = question
    this.#journal.append({ type: questionEventType(question.state), orchestratorId, projectId, sessionId, question })
  }

  #keep(question: Question): void {
    this.#questions.set(question.id, question)
    const settled = [...this.#questions.values()].filter(({ state }) => state !== 'pending')
    for (const { id } of settled.slice(0, Math.max(0, settled.length - SETTLED_MAX))) this.#questions.delete(id)
  }
}
