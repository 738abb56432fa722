import type { Question } from '@ai-orchestration/protocol'
import { useEffect, useRef } from 'react'
import { useDialogs } from '../shell/dialogs.tsx'
import { isTyping } from '../shell/shortcuts.ts'
import { placesOf } from './question-face.ts'
import { useAnswer } from './use-answer.ts'
import { useAnswerReason } from './use-answer-reason.ts'

/** A question must have been the one that keys answer for this long, so that no key meant for another answers it, in milliseconds. */
const SETTLE_MS = 500

/** Answers the question that is marked: A allows once, ⇧A for good in its session, D denies. */
export function useAnswerKeys(question: Question): void {
  const answer = useAnswer()
  const dialogs = useDialogs()
  const reason = useAnswerReason(question)
  const since = useRef({ id: '', at: 0 })
  useEffect(() => {
    if (since.current.id !== question.id) since.current = { id: question.id, at: performance.now() }
    const onKey = (event: KeyboardEvent) => {
      if (event.repeat || event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return
      if (reason !== undefined || dialogs.current !== undefined || isTyping(event.target)) return
      if (performance.now() - since.current.at < SETTLE_MS) return
      const { once, always, deny } = placesOf(question)
      const key = event.key.toLowerCase()
      const option = key === 'd' ? deny : key === 'a' ? (event.shiftKey ? always[0] : once) : undefined
      if (option === undefined) return
      event.preventDefault()
      void answer(question, option.id)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [question, answer, dialogs, reason])
}
