import type { Question, QuestionOption } from '@ai-orchestration/protocol'
import { useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { WordsField } from '../ui/words-field.tsx'
import { useAnswer } from './use-answer.ts'
import { useTellWhy } from './use-tell-why.ts'

/** Says no, and why. */
export function DenyForm(props: {
  question: Question
  deny: QuestionOption
  reason: string | undefined
  onCancel: () => void
}) {
  const { question, deny, reason, onCancel } = props
  const answer = useAnswer()
  const tellWhy = useTellWhy()
  const [text, setText] = useState('')
  const send = async () => {
    if (reason !== undefined) return
    const words = text.trim()
    const isDone = await answer(question, deny.id, words === '' ? undefined : words)
    if (isDone && words !== '') await tellWhy(question.sessionId, words)
  }
  return (
    <div className="flex w-full min-w-[280px] flex-1 flex-col gap-2">
      <WordsField
        label="Why not"
        placeholder="Why not? The agent is told with your next prompt."
        hasFocus
        text={text}
        onText={setText}
        onEnter={() => void send()}
        onEscape={onCancel}
      />
      <span className="flex flex-wrap justify-end gap-1.5">
        <Button kind="ghost" onClick={onCancel}>
          Back
        </Button>
        <Button disabledReason={reason} onClick={() => void send()}>
          Deny
          <Kbd>↵</Kbd>
        </Button>
      </span>
    </div>
  )
}
