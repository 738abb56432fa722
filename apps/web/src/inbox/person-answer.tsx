import type { Question, QuestionOption } from '@ai-orchestration/protocol'
import { useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { Button } from '../ui/button.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { WordsField } from '../ui/words-field.tsx'
import { useAnswer } from './use-answer.ts'

/** The id of the option that stands for a person's own words. */
const OWN_WORDS = 'own'

/** Answers what an agent itself asks: by one of its choices, in words, or not at all. */
export function PersonAnswer({
  question,
  reason,
}: {
  question: Extract<Question, { kind: 'agent' }>
  reason: string | undefined
}) {
  const answer = useAnswer()
  const [text, setText] = useState('')
  const words = text.trim()
  const own = question.options.find(({ id }) => id === OWN_WORDS)
  const deny = question.options.find(({ style }) => style === 'deny')
  const choices = question.options.filter((option) => option !== own && option !== deny)
  const send = (option: QuestionOption | undefined, say?: string) => {
    if (option !== undefined && reason === undefined) void answer(question, option.id, say)
  }
  return (
    <div className="flex w-full min-w-[240px] flex-1 flex-col gap-2 md:max-w-[480px]">
      {choices.map((option) => (
        <Button
          key={option.id}
          disabledReason={reason}
          onClick={() => send(option)}
          className="!h-auto min-h-7 !justify-start py-1 text-left !whitespace-normal max-md:min-h-11"
        >
          {inertText(option.label)}
        </Button>
      ))}
      {question.detail.takesText && (
        <WordsField
          label="Your answer"
          placeholder="Your answer"
          hasFocus={false}
          text={text}
          onText={setText}
          onEnter={() => words !== '' && send(own ?? choices[0], words)}
        />
      )}
      <span className="flex justify-end gap-1.5">
        {deny !== undefined && (
          <Button kind="ghost" disabledReason={reason} onClick={() => send(deny)}>
            {inertText(deny.label)}
          </Button>
        )}
        {question.detail.takesText && own !== undefined && (
          <Button
            disabledReason={reason ?? (words === '' ? 'Write something first' : undefined)}
            onClick={() => send(own, words)}
          >
            Answer
            <Kbd>↵</Kbd>
          </Button>
        )}
      </span>
    </div>
  )
}
