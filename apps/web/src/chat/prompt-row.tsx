import { useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { useMe } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { clockTime } from '../ui/time.tsx'
import type { EntryOf, SentPrompt } from './rows.ts'
import { MESSAGE_SHOWN, ShowRest } from './show-rest.tsx'

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
