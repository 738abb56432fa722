import type { Question } from '@ai-orchestration/protocol'
import { createContext, useContext, useMemo } from 'react'
import { trpc } from '../relay/trpc.ts'
import { useQuestions, useSettled } from '../relay/use-fleet.ts'

/** A session's questions by id, as they stand. */
export type SessionQuestions = ReadonlyMap<string, Question>

/** Gives the rows of a conversation its questions. */
export const QuestionsContext = createContext<SessionQuestions>(new Map())

/** How the question of a tool call stands; `undefined` when there is none, or it is long forgotten. */
export function useToolQuestion(questionId: string | undefined): Question | undefined {
  const questions = useContext(QuestionsContext)
  return questionId === undefined ? undefined : questions.get(questionId)
}

/** A session's questions: those that wait, those settled while the page was open, and those settled before. */
export function useSessionQuestions(sessionId: string): SessionQuestions {
  const waiting = useQuestions()
  const settled = useSettled()
  const before = trpc.inbox.list.useQuery({ sessionId, state: 'answered' }).data
  return useMemo(() => {
    const known = new Map<string, Question>()
    for (const question of [...(before ?? []), ...Object.values(settled)]) known.set(question.id, question)
    for (const question of waiting ?? []) if (!known.has(question.id)) known.set(question.id, question)
    return known
  }, [waiting, settled, before])
}
