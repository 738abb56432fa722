import { Check, ChevronDown, ChevronRight, CircleAlert, Info, Lightbulb, ListChecks, TriangleAlert } from 'lucide-react'
import dynamic from 'next/dynamic'
import { memo, useState } from 'react'
import { sizeOf } from '../code/code-block.tsx'
import { inertText } from '../code/inert-text.ts'
import { useMe } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { clockTime } from '../ui/time.tsx'
import { useOpenRow } from './open-rows.tsx'
import type { EntryOf, SentPrompt } from './rows.ts'

const Markdown = dynamic(() => import('./markdown.tsx').then((m) => m.Markdown), { ssr: false })

/** A message longer than this many characters shows its beginning until the rest is asked for. */
const MESSAGE_SHOWN = 24_000

/** What a person asked. */
export function PromptRow({ entry }: { entry: EntryOf<'prompt'> }) {
  const me = useMe()
  return (
    <div className="rounded-4 bg-surface-3 px-3.5 py-2.5 [--cut:var(--bg-3)]">
      <PromptHead
        by={entry.by === me?.name ? 'You' : entry.by}
        at={entry.at}
        note={noteOf(entry)}
        isBad={entry.state === 'failed'}
      />
      <PromptText text={entry.text} />
      {entry.error !== undefined && <p className="mt-1 text-12 break-words text-failed">{inertText(entry.error)}</p>}
    </div>
  )
}

/** A prompt of this page on its way, or one that was not taken. */
export function SentRow(props: { sent: SentPrompt; onForget: () => void; onAgain: () => void }) {
  const { sent } = props
  const isFailed = sent.error !== undefined
  return (
    <div className="rounded-4 bg-surface-3 px-3.5 py-2.5 [--cut:var(--bg-3)]">
      <PromptHead by="You" at={sent.at} note={isFailed ? 'not sent' : 'sending'} isBad={isFailed} />
      <PromptText text={sent.text} />
      {isFailed && (
        <div role="alert" className="mt-1.5 flex flex-wrap items-center gap-2">
          <p className="min-w-0 flex-1 basis-48 text-12 text-failed">{sent.error}</p>
          <Button size="sm" kind="ghost" onClick={props.onForget}>
            Discard
          </Button>
          <Button size="sm" onClick={props.onAgain}>
            Send again
          </Button>
        </div>
      )}
    </div>
  )
}

function PromptHead({ by, at, note, isBad }: { by: string; at: string; note: string | undefined; isBad: boolean }) {
  return (
    <p className="mb-0.5 flex items-baseline gap-2 text-12 text-ink-3">
      <b className="truncate font-semibold text-ink-2">{inertText(by)}</b>
      <time dateTime={at} title={new Date(at).toLocaleString()}>
        {clockTime(at).slice(0, 5)}
      </time>
      {note !== undefined && <span className={cx(isBad && 'text-failed')}>{note}</span>}
    </p>
  )
}

/** A person's own words stay as they are written; only what stands in backticks is set as code. */
function PromptText({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(false)
  const inert = inertText(text)
  const shown = isWhole ? inert : inert.slice(0, MESSAGE_SHOWN)
  return (
    <div className="text-15 [overflow-wrap:anywhere] whitespace-pre-wrap max-md:text-16">
      {shown.split(/(`[^`\n]+`)/).map((piece, index) =>
        index % 2 === 1 ? (
          <code
            key={index}
            className="rounded-1 bg-surface-4 px-1 py-px font-mono text-[13px]/[20px] tracking-[-.01em]"
          >
            {piece.slice(1, -1)}
          </code>
        ) : (
          piece
        ),
      )}
      {shown.length < inert.length && <ShowRest chars={inert.length - shown.length} onShow={() => setWhole(true)} />}
    </div>
  )
}

function noteOf({ state, stopReason }: EntryOf<'prompt'>): string | undefined {
  switch (state) {
    case 'queued':
      return 'queued'
    case 'running':
      return undefined
    case 'cancelled':
      return 'interrupted'
    case 'failed':
      return 'failed'
    case 'done':
      switch (stopReason) {
        case 'max_tokens':
          return 'the agent stopped at its limit of tokens'
        case 'max_turn_requests':
          return 'the agent stopped at its limit of steps'
        case 'refusal':
          return 'the agent refused'
        default:
          return undefined
      }
    default:
      return state satisfies never
  }
}

/** What the agent says. */
export const MessageRow = memo(function MessageRow({
  entry,
  isGrowing,
}: {
  entry: EntryOf<'message'>
  isGrowing: boolean
}) {
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? entry.text : beginningOf(entry.text)
  return (
    <div className="max-w-[66ch] text-15 [overflow-wrap:anywhere] max-md:text-16">
      <Markdown text={shown} isGrowing={isGrowing} />
      {shown.length < entry.text.length && (
        <ShowRest chars={entry.text.length - shown.length} onShow={() => setWhole(true)} />
      )}
      {entry.omittedChars !== undefined && (
        <p className="text-12 text-ink-3">{entry.omittedChars.toLocaleString()} more characters were not kept.</p>
      )}
    </div>
  )
})

/** What the agent thinks for itself: one line, and all of it behind that. */
export function ThoughtRow({ entry, isGrowing }: { entry: EntryOf<'message'>; isGrowing: boolean }) {
  const [isOpen, toggle] = useOpenRow(entry.id, false)
  const text = inertText(entry.text).trim()
  const line = text.replaceAll(/[*#`_]/g, '').split('\n', 1)[0] ?? ''
  return (
    <div>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={toggle}
        className="flex h-6 w-full cursor-default items-center gap-2 rounded-2 px-0.5 text-left text-12 text-ink-3 hover:text-ink-1 max-md:h-11 max-md:text-13"
      >
        <Lightbulb className="icon-14" />
        <span className="flex-none font-medium text-ink-2">{isGrowing ? 'Thinking' : 'Thought'}</span>
        <span className="min-w-0 flex-1 truncate">{isOpen ? '' : line.slice(0, 200)}</span>
        {isOpen ? <ChevronDown className="icon-14" /> : <ChevronRight className="icon-14" />}
      </button>
      {isOpen && (
        <p className="mt-1 max-h-96 max-w-[66ch] overflow-y-auto border-l-2 border-line-2 pl-3 text-ink-2 [overflow-wrap:anywhere] whitespace-pre-wrap">
          {text.slice(0, MESSAGE_SHOWN)}
        </p>
      )}
    </div>
  )
}

/** The agent's plan; an earlier one is folded. */
export function PlanRow({ entry, isLatest }: { entry: EntryOf<'plan'>; isLatest: boolean }) {
  const [isOpen, toggle] = useOpenRow(entry.id, isLatest)
  const done = entry.items.filter(({ status }) => status === 'completed').length
  const now = entry.items.find(({ status }) => status === 'in_progress')
  const items = isOpen ? entry.items : isLatest && now !== undefined ? [now] : []
  return (
    <div className={cx('rounded-3 border border-line-2', items.length > 0 && 'pb-1.5')}>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={toggle}
        className="flex h-8 w-full cursor-default items-center gap-2 px-2.5 text-left text-12 text-ink-2 focus-visible:shadow-focus-inset max-md:h-11 max-md:text-13"
      >
        <ListChecks className="icon-14 text-ink-3" />
        <b className="font-medium text-ink-1">Plan</b>
        <span className="text-ink-3">
          {done} of {entry.items.length}
        </span>
        <span className="flex-1" />
        {isOpen ? <ChevronDown className="icon-14 text-ink-3" /> : <ChevronRight className="icon-14 text-ink-3" />}
      </button>
      <ul>
        {items.map((item, index) => (
          <li
            key={index}
            className={cx(
              'flex min-h-[25px] items-start gap-2.5 px-2.5 py-[2.5px]',
              item.status === 'completed' && 'text-ink-3',
              item.status === 'in_progress' && 'font-medium',
              item.status === 'pending' && 'text-ink-2',
            )}
          >
            <span className="grid size-4 flex-none translate-y-0.5 place-items-center">
              {item.status === 'completed' ? (
                <Check role="img" aria-label="Done" className="icon-14 text-done" />
              ) : item.status === 'in_progress' ? (
                <StateGlyph state="starting" label="Now" />
              ) : (
                <span className="size-3.5 rounded-[3.5px] border-[1.5px] border-line-control" />
              )}
            </span>
            <span className="min-w-0 [overflow-wrap:anywhere]">{inertText(item.text)}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}

const NOTICES = { info: Info, warning: TriangleAlert, error: CircleAlert } as const

/** Something the platform says. */
export function NoticeRow({ entry }: { entry: EntryOf<'notice'> }) {
  const Icon = NOTICES[entry.level]
  return (
    <p className="flex items-start gap-2 px-0.5 text-12 text-ink-3">
      <Icon
        className={cx(
          'icon-14 mt-px',
          entry.level === 'warning' && 'text-needs',
          entry.level === 'error' && 'text-failed',
        )}
      />
      <span className={cx('min-w-0 [overflow-wrap:anywhere]', entry.level === 'error' && 'text-failed')}>
        {inertText(entry.text)}
      </span>
      <time className="ml-auto flex-none" dateTime={entry.at}>
        {clockTime(entry.at).slice(0, 5)}
      </time>
    </p>
  )
}

function ShowRest({ chars, onShow }: { chars: number; onShow: () => void }) {
  return (
    <button type="button" onClick={onShow} className="block py-1 text-12 text-accent max-md:py-3">
      Show the rest, {sizeOf(chars)}
    </button>
  )
}

function beginningOf(text: string): string {
  if (text.length <= MESSAGE_SHOWN) return text
  const end = text.lastIndexOf('\n\n', MESSAGE_SHOWN)
  return text.slice(0, end > MESSAGE_SHOWN / 2 ? end : MESSAGE_SHOWN)
}
