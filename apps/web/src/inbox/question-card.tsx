import type { Question } from '@ai-orchestration/protocol'
import { FileText, Globe } from 'lucide-react'
import Link from 'next/link'
import { type ReactNode, useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { cx } from '../ui/cx.ts'
import { Scroller } from '../ui/scroller.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'
import { AnswerButtons } from './answer-buttons.tsx'
import { faceOfQuestion, type QuestionFace } from './question-face.ts'
import { SettledLine } from './settled-line.tsx'
import { useAnswering } from './use-answer.ts'

/** Where a card stands: a row of the inbox, which names its session, or a box in the session's own conversation. */
export interface Place {
  kind: 'inbox' | 'chat'
  /** Title and project of the session, in the inbox. */
  session?: { id: string; title: string; projectId: string; agent: string }
}

/** A question to a person with its answers. While it is answered, and after, it is one line that says how. */
export function QuestionCard(props: {
  question: Question
  /** How it was settled, once it was. */
  settled: Question | undefined
  place: Place
  /** The keys A and D answer this one. */
  hasKeys: boolean
}) {
  const { question, settled, place, hasKeys } = props
  const answering = useAnswering(question.id)
  const face = faceOfQuestion(question)
  if (settled !== undefined || answering?.kind === 'sending')
    return <SettledLine question={settled ?? question} face={face} place={place} isLate={answering?.kind === 'late'} />
  const body = <Body question={question} face={face} />
  const error = answering?.kind === 'failed' && (
    <p role="alert" className="mt-2 text-12 text-failed">
      Not answered. {answering.message}
    </p>
  )
  const buttons = <AnswerButtons question={question} place={place} hasKeys={hasKeys} />
  return place.kind === 'inbox' ? (
    <div className="gap-x-3 py-2.5 pr-3 pl-3.5 max-md:p-3 md:grid md:grid-cols-[16px_minmax(0,1fr)]">
      <StateGlyph state="needs" label="Needs input" className="mt-0.5 max-md:hidden" />
      <div className="min-w-0">
        <Heading face={face} question={question} place={place} />
        {place.session !== undefined && (
          <p className="mb-2 flex pl-6 md:hidden">
            <SessionLink session={place.session} />
          </p>
        )}
        <div className="mt-1.5 flex items-start gap-x-5 gap-y-2 max-lg:flex-col max-md:gap-y-3">
          <div className="min-w-0 flex-1 max-lg:w-full">{body}</div>
          {buttons}
        </div>
        {error}
      </div>
    </div>
  ) : (
    <div className="rounded-4 border border-needs-line bg-surface-2 px-3 pt-2.5 pb-3 [--cut:var(--bg-2)]">
      <Heading face={face} question={question} place={place} />
      <div className="mt-2 mb-2.5">{body}</div>
      {buttons}
      {error}
    </div>
  )
}

function Heading({ face, question, place }: { face: QuestionFace; question: Question; place: Place }) {
  const { session } = place
  return (
    <div className="flex items-baseline gap-2">
      <StateGlyph
        state="needs"
        label="Needs input"
        className={cx('self-center', place.kind === 'inbox' && 'md:hidden')}
      />
      <b className="flex-none font-semibold max-md:text-15">
        {face.verb}
        {place.kind === 'chat' && (question.kind === 'tool' || question.kind === 'egress') && '?'}
      </b>
      {session !== undefined && (
        <span className="flex min-w-0 items-baseline gap-2 max-md:hidden">
          <SessionLink session={session} />
          <span className="flex-none text-12 text-ink-3">{session.projectId}</span>
        </span>
      )}
      <span className="flex-1" />
      <span className="flex-none text-12 text-ink-3">
        {session !== undefined && <span className="max-md:hidden">{session.agent} · </span>}
        <Age at={question.createdAt} isLong /> ago
      </span>
    </div>
  )
}

/** The way to the session that asks. */
export function SessionLink({ session }: { session: NonNullable<Place['session']> }) {
  return (
    <Link
      href={`/sessions/${session.id}`}
      prefetch={false}
      className="min-w-0 truncate text-ink-2 hover:text-ink-1 hover:underline"
    >
      {inertText(session.title)}
    </Link>
  )
}

function Body({ question, face }: { question: Question; face: QuestionFace }) {
  const [isOpen, setOpen] = useState(false)
  const { exact, text, input } = face
  return (
    <>
      {text !== undefined && (
        <p className="max-h-60 overflow-y-auto break-words whitespace-pre-wrap text-ink-1 max-md:text-15">{text}</p>
      )}
      {exact !== undefined && (
        <div className="flex min-h-7 items-start gap-2 rounded-2 border border-line-2 bg-well px-2.5 py-[3px] font-mono text-code max-md:py-2">
          <Sign sign={exact.sign} />
          <Scroller
            as="span"
            className="max-h-40 min-w-0 flex-1 overflow-y-auto [overflow-wrap:anywhere] whitespace-pre-wrap"
          >
            {exact.text}
            {exact.sign === 'host' && exact.note !== undefined && <span className="text-ink-3"> {exact.note}</span>}
          </Scroller>
          {exact.sign !== 'host' && exact.note !== undefined && (
            <span className="max-w-[45%] truncate font-sans text-12/[20px] text-ink-3 max-md:hidden" title={exact.note}>
              {exact.note}
            </span>
          )}
        </div>
      )}
      {input !== undefined && (
        <>
          <button
            type="button"
            aria-expanded={isOpen}
            onClick={() => setOpen(!isOpen)}
            className="mt-1 text-12 text-ink-3 hover:text-ink-1 max-md:py-2"
          >
            {isOpen ? 'Hide' : 'Show'} all it is called with
          </button>
          {isOpen && (
            <Scroller
              as="pre"
              className="mt-1 max-h-60 overflow-auto rounded-2 border border-line-2 bg-well px-2.5 py-1.5 font-mono text-code"
            >
              {input}
            </Scroller>
          )}
        </>
      )}
      {question.expiresAt !== undefined && (
        <p className="mt-1 text-12 text-ink-3">
          Until {new Date(question.expiresAt).toLocaleString()}, then it is taken as no answer.
        </p>
      )}
    </>
  )
}

function Sign({ sign }: { sign: NonNullable<QuestionFace['exact']>['sign'] }): ReactNode {
  switch (sign) {
    case '$':
      return (
        <span aria-hidden="true" className="text-ink-3">
          $
        </span>
      )
    case 'host':
      return <Globe className="icon-14 mt-[3px] text-ink-3" />
    case 'file':
      return <FileText className="icon-14 mt-[3px] text-ink-3" />
    case '':
      return null
    default:
      return sign satisfies never
  }
}
