import type { AgentToolCall, PermissionRequest } from './agent-frames.ts'
import type { FieldAnswer } from './form.ts'

/** What an agent wants to do, to be asked of a person. */
export interface PermissionQuestion {
  sessionId: string
  /** The same for the same request, also after a crash: it is asked once. */
  key: string
  call: AgentToolCall
  options: PermissionRequest['options']
}

/** What an agent asks of its own. */
export interface PersonQuestion {
  sessionId: string
  /** As that of a {@link PermissionQuestion}. */
  key: string
  text: string
  /** What can be picked. */
  choices: readonly string[]
  /** Words of the person's own can be the answer, or go with it. */
  takesText: boolean
}

/** Where questions to a person are kept until they are answered; see `question/`. */
export interface PermissionDesk {
  /** Asks, unless it was asked before. @returns the question's id; a rule may have answered it already. */
  ask(question: PermissionQuestion): string
  /**
   * The agent's own option that was chosen; `gone` when it can no longer be answered, `unknown` when a crash has taken it
   * back, `undefined` while it waits.
   */
  answerOf(question: PermissionQuestion & { id: string }): { optionId: string } | 'gone' | 'unknown' | undefined
  /** Asks a question of the agent's own, unless it was asked before. @returns the question's id. */
  askPerson(question: PersonQuestion): string
  /** What was picked by its place, and said; neither when it was skipped. The rest as with {@link answerOf}. */
  answerOfPerson(question: PersonQuestion & { id: string }): FieldAnswer | 'gone' | 'unknown' | undefined
  /** It no longer matters. */
  withdraw(questionId: string): void
  /** Calls back when any question has been settled. Answers how to stop that. */
  onSettled(listener: () => void): () => void
}
