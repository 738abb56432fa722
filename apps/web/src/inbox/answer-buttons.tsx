import type { Question, QuestionOption } from '@ai-orchestration/protocol'
import { ChevronDown } from 'lucide-react'
import { useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { Kbd } from '../ui/kbd.tsx'
import { Menu } from '../ui/menu.tsx'
import { DenyForm } from './deny-form.tsx'
import { PersonAnswer } from './person-answer.tsx'
import type { Place } from './question-card.tsx'
import { placesOf } from './question-face.ts'
import { useAnswer } from './use-answer.ts'
import { useAnswerReason } from './use-answer-reason.ts'

/** The ways to answer a question, and a field for those that carry words. */
export function AnswerButtons({ question, place, hasKeys }: { question: Question; place: Place; hasKeys: boolean }) {
  const answer = useAnswer()
  const reason = useAnswerReason(question)
  const [isWriting, setWriting] = useState(false)
  const { once, always, deny, others } = placesOf(question)
  const send = (option: QuestionOption) => void answer(question, option.id)
  const isWide = place.kind === 'chat'
  if (question.kind === 'agent') return <PersonAnswer question={question} reason={reason} />
  if (isWriting && deny !== undefined)
    return <DenyForm question={question} deny={deny} reason={reason} onCancel={() => setWriting(false)} />
  const row = (
    <div
      className={cx(
        'flex flex-wrap items-center gap-1.5 max-md:grid max-md:w-full max-md:auto-cols-fr max-md:grid-flow-col max-md:gap-2',
        !isWide && 'justify-end',
      )}
    >
      {once !== undefined && (
        <Button kind={hasKeys ? 'primary' : 'default'} disabledReason={reason} onClick={() => send(once)}>
          {question.kind === 'budget' ? inertText(once.label) : 'Allow once'}
          {hasKeys && reason === undefined && <Kbd isOnAccent>A</Kbd>}
        </Button>
      )}
      <Always always={always} isWide={isWide} reason={reason} send={send} />
      {deny !== undefined && (
        <Button disabledReason={reason} onClick={() => send(deny)}>
          {question.kind === 'budget' ? inertText(deny.label) : 'Deny'}
          {hasKeys && reason === undefined && <Kbd>D</Kbd>}
        </Button>
      )}
      {others.map((option) => (
        <Button key={option.id} disabledReason={reason} onClick={() => send(option)} className="max-w-64">
          <span className="truncate">{inertText(option.label)}</span>
        </Button>
      ))}
      {deny !== undefined && question.kind === 'tool' && (
        <>
          {isWide && <span className="flex-1 max-md:hidden" />}
          <Button
            kind="ghost"
            disabledReason={reason}
            onClick={() => setWriting(true)}
            className={cx('!px-2', isWide ? 'max-md:hidden' : 'max-xl:hidden')}
          >
            Deny and say why
          </Button>
        </>
      )}
    </div>
  )
  if (!isWide || question.kind !== 'tool' || always.length === 0) return row
  return (
    <>
      {row}
      <p className="mt-1.5 text-12 text-ink-3">
        Always covers every use of <span className="font-mono">{inertText(question.detail.tool)}</span>, not only this
        one.
      </p>
    </>
  )
}

/**
 * The standing answers. In the conversation the narrowest is a button of its own, with what it covers below; where there
 * is less room one button opens them all, each with what it covers.
 */
function Always(props: {
  always: readonly QuestionOption[]
  isWide: boolean
  reason: string | undefined
  send: (option: QuestionOption) => void
}) {
  const { always, isWide, reason, send } = props
  const [first] = always
  if (first === undefined) return null
  const words = (option: QuestionOption) => `Always in this ${option.always ?? 'session'}`
  const items = always.map((option) => ({
    ...{ id: option.id, label: words(option), note: inertText(option.label) },
    act: () => send(option),
  }))
  return (
    <>
      {isWide && (
        <span className="inline-flex max-md:hidden">
          <Button
            disabledReason={reason}
            title={inertText(first.label)}
            onClick={() => send(first)}
            className="rounded-r-[0]"
          >
            {words(first)}
          </Button>
          <Menu label="How far it shall be allowed" items={items}>
            <Button
              disabledReason={reason}
              aria-label="How far it shall be allowed"
              className="-ml-px rounded-l-[0] !px-[5px]"
            >
              <ChevronDown className="icon-14" />
            </Button>
          </Menu>
        </span>
      )}
      <Menu label="How far it shall be allowed" items={items}>
        <Button disabledReason={reason} className={cx(isWide && 'md:hidden')}>
          Always
          <ChevronDown className="icon-14 max-md:hidden" />
        </Button>
      </Menu>
    </>
  )
}
