import type { Question } from '@ai-orchestration/protocol'
import { inertText } from '../code/inert-text.ts'
import { cx } from '../ui/cx.ts'
import { type GlyphState, StateGlyph } from '../ui/state-glyph.tsx'
import { clockTime } from '../ui/time.tsx'
import { type Place, SessionLink } from './question-card.tsx'
import { answeredWith, outcomeOf, type QuestionFace } from './question-face.ts'
import { useAnswering } from './use-answer.ts'

/** A question that is being answered, or was: one line with how, by whom and when. */
export function SettledLine(props: { question: Question; face: QuestionFace; place: Place; isLate: boolean }) {
  const { question, face, place, isLate } = props
  const answering = useAnswering(question.id)
  const sending = answering?.kind === 'sending' && question.state === 'pending' ? answering : undefined
  const option = question.options.find(({ id }) => id === (sending?.optionId ?? question.answer?.optionId))
  const word = sending !== undefined && option !== undefined ? answeredWith(question, option) : outcomeOf(question)
  return (
    <div
      role="status"
      className={cx(
        'flex min-h-10 items-center gap-x-2.5 gap-y-0.5 max-md:flex-wrap max-md:py-2.5',
        place.kind === 'chat' ? 'rounded-4 border border-line-2 bg-surface-2 px-3 [--cut:var(--bg-2)]' : 'px-3.5',
      )}
    >
      <StateGlyph state={sending !== undefined ? 'starting' : glyphOf(question, option?.style)} />
      <span className="flex-none">{word}</span>
      <span className="min-w-0 truncate font-mono text-code text-ink-2">
        {face.exact?.text ?? inertText(question.answer?.text ?? '')}
      </span>
      {place.session !== undefined && (
        <span className="flex min-w-0 text-12 max-md:hidden">
          <SessionLink session={place.session} />
        </span>
      )}
      <span className="flex-1" />
      <span className="flex-none text-12 text-ink-3">
        {sending !== undefined
          ? 'sending'
          : question.answer === undefined
            ? ''
            : `${isLate ? 'first ' : ''}by ${question.answer.by.name}, ${clockTime(question.answer.at).slice(0, 5)}`}
      </span>
    </div>
  )
}

function glyphOf(question: Question, style: 'allow' | 'deny' | 'neutral' | undefined): GlyphState {
  if (question.state !== 'answered') return 'idle'
  return style === 'deny' ? 'paused' : 'done'
}
