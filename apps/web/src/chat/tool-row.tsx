import type { ToolContent } from '@ai-orchestration/protocol'
import { Check, ChevronDown, ChevronRight, Files, X } from 'lucide-react'
import type { ReactNode } from 'react'
import { CodeBlock } from '../code/code-block.tsx'
import { DiffView, useTextDiff } from '../code/diff-view.tsx'
import { inertText } from '../code/inert-text.ts'
import { outcomeOf } from '../inbox/question-face.ts'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { useOpenRow } from './open-rows.tsx'
import type { EntryOf } from './rows.ts'
import { faceOfTool, lookedUp } from './tool-face.ts'
import { useToolQuestion } from './tool-questions.ts'

type Tool = EntryOf<'tool'>

/** A tool call: what it is about and how it went, with its input and result behind it. */
export function ToolRow({ entry, isLastEdit }: { entry: Tool; isLastEdit: boolean }) {
  const diffs = entry.content.filter((piece) => piece.type === 'diff')
  const [isOpen, toggle] = useOpenRow(entry.id, isLastEdit && diffs.length > 0)
  const face = faceOfTool(entry)
  const Icon = face.icon
  return (
    <div className="overflow-hidden rounded-3 border border-line-2">
      <Header isOpen={isOpen} onToggle={toggle}>
        <Icon className="icon-14 text-ink-3" />
        <b className="flex-none font-medium text-ink-1">{face.verb}</b>
        <span
          className={cx('min-w-0 truncate', face.isProse ? 'text-ink-2' : 'font-mono text-[12px]')}
          title={face.about}
        >
          {face.about}
        </span>
        <span className="flex-1" />
        <Counts diffs={diffs} />
        <Outcome entry={entry} />
      </Header>
      {isOpen && (
        <div className="border-t border-line-1 bg-well">
          <Details entry={entry} />
        </div>
      )}
    </div>
  )
}

/** Neighbouring reads and searches as one line, each behind it. */
export function LookUpsRow({ entries }: { entries: readonly Tool[] }) {
  const [isOpen, toggle] = useOpenRow(`group ${entries[0]?.id ?? ''}`, false)
  const isRunning = entries.some(isOpenCall)
  const failed = entries.filter(({ status }) => status === 'failed').length
  return (
    <div className="flex flex-col gap-1.5">
      <Header isOpen={isOpen} onToggle={toggle} isFlat>
        <Files className="icon-14 text-ink-3" />
        <b className="min-w-0 truncate font-medium text-ink-1">{lookedUp(entries)}</b>
        <span className="flex-1" />
        {failed > 0 && <span className="text-failed">{failed} failed</span>}
        {isRunning && <StateGlyph state="starting" label="Running" className="!size-3.5" />}
      </Header>
      {isOpen && entries.map((entry) => <ToolRow key={entry.id} entry={entry} isLastEdit={false} />)}
    </div>
  )
}

function Header(props: { isOpen: boolean; onToggle: () => void; isFlat?: boolean; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-expanded={props.isOpen}
      onClick={props.onToggle}
      className={cx(
        'flex w-full cursor-default items-center gap-2 text-left text-12 whitespace-nowrap text-ink-2 hover:text-ink-1 focus-visible:shadow-focus-inset max-md:h-11 max-md:text-13',
        props.isFlat === true ? 'h-6 rounded-2 px-0.5' : 'h-8 px-2.5',
      )}
    >
      {props.children}
      {props.isOpen ? <ChevronDown className="icon-14 text-ink-3" /> : <ChevronRight className="icon-14 text-ink-3" />}
    </button>
  )
}

function Counts({ diffs }: { diffs: readonly Extract<ToolContent, { type: 'diff' }>[] }) {
  const [first] = diffs
  if (first === undefined) return null
  if (diffs.length > 1) return <span className="text-ink-3">{diffs.length} files</span>
  return <CountsOf diff={first} />
}

function CountsOf({ diff }: { diff: Extract<ToolContent, { type: 'diff' }> }) {
  const compared = useTextDiff(diff)
  if (compared === undefined || compared === 'too-different') return null
  return (
    <span className="flex flex-none gap-1.5">
      <span className="text-add-ink">+{compared.added}</span>
      <span className="text-del-ink">−{compared.removed}</span>
    </span>
  )
}

function Outcome({ entry }: { entry: Tool }) {
  const question = useToolQuestion(entry.questionId)
  const answer =
    question?.answer === undefined ? undefined : (
      <span className="text-ink-3 max-md:hidden">
        {outcomeOf(question)} by {inertText(question.answer.by.name)}
      </span>
    )
  if (question?.state === 'pending')
    return (
      <span className="flex flex-none items-center gap-1.5 text-needs">
        <StateGlyph state="needs" className="!size-3.5" />
        waits for you
      </span>
    )
  switch (entry.status) {
    case 'pending':
    case 'in_progress':
      return (
        <>
          {answer}
          <StateGlyph state="starting" label="Running" className="!size-3.5" />
        </>
      )
    case 'completed':
      return (
        <>
          {answer}
          <Check role="img" aria-label="Done" className="icon-14 text-done" />
        </>
      )
    case 'failed':
      return (
        <>
          {answer}
          <span className="flex flex-none items-center gap-1 text-failed">
            <X className="icon-14" />
            failed
          </span>
        </>
      )
    default:
      return entry.status satisfies never
  }
}

function Details({ entry }: { entry: Tool }) {
  const hasResult = entry.content.length > 0
  const others = entry.locations.slice(0, 20)
  return (
    <>
      {entry.input !== undefined && !entry.content.some((piece) => piece.type === 'diff') && (
        <Part title="Input" isSplit={hasResult}>
          <CodeBlock code={entry.input} language="json" />
        </Part>
      )}
      {entry.content.map((piece, index) => (
        <Piece key={index} piece={piece} isOnly={entry.content.length === 1} />
      ))}
      {!hasResult && (
        <p className="px-2.5 py-1.5 text-12 text-ink-3">
          {isOpenCall(entry) ? 'No result yet.' : 'No result was told.'}
        </p>
      )}
      {others.length > 1 && (
        <Part title="Where" isSplit={false}>
          <ul className="px-2.5 pb-2 font-mono text-[12px] text-ink-2">
            {others.map(({ path, line }, index) => (
              <li key={index} className="truncate">
                {inertText(path)}
                {line !== undefined && `:${line}`}
              </li>
            ))}
          </ul>
        </Part>
      )}
    </>
  )
}

function Part({ title, isSplit, children }: { title: string; isSplit: boolean; children: ReactNode }) {
  return (
    <div className={cx(isSplit && 'border-b border-line-1')}>
      <p className="px-2.5 pt-1.5 text-11 text-ink-3">{title}</p>
      {children}
    </div>
  )
}

function Piece({ piece, isOnly }: { piece: ToolContent; isOnly: boolean }) {
  switch (piece.type) {
    case 'text':
      return (
        <>
          <CodeBlock code={unfenced(piece.text)} canCopy />
          <Omitted chars={piece.omittedChars} />
        </>
      )
    case 'diff':
      return (
        <div className="border-b border-line-1 last:border-b-0">
          {!isOnly && (
            <p className="truncate border-b border-line-1 px-2.5 py-1 font-mono text-[12px] text-ink-2">
              {inertText(piece.path)}
            </p>
          )}
          <DiffView path={piece.path} oldText={piece.oldText} newText={piece.newText} />
          <Omitted chars={piece.omittedChars} />
        </div>
      )
    case 'omitted':
      return <p className="px-2.5 py-1.5 text-12 text-ink-3">Not kept: {inertText(piece.what)}</p>
    default:
      return piece satisfies never
  }
}

function Omitted({ chars }: { chars: number | undefined }) {
  if (chars === undefined) return null
  return (
    <p className="border-t border-line-1 px-2.5 py-1.5 text-12 text-ink-3">
      {chars.toLocaleString()} more characters were not kept.
    </p>
  )
}

/** Some agents put a program's output into a fence of Markdown; it is output all the same. */
function unfenced(text: string): string {
  return /^\s*```[^\n]*\n([\s\S]*?)\n?```\s*$/.exec(text)?.[1] ?? text
}

function isOpenCall({ status }: Tool): boolean {
  return status === 'pending' || status === 'in_progress'
}
