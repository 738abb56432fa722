import { ArrowDown } from 'lucide-react'
import { memo, type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { Virtualizer, type VirtualizerHandle } from 'virtua'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { toastFailed } from '../ui/toast.ts'
import { MessageRow } from './message-row.tsx'
import { NoticeRow } from './notice-row.tsx'
import { PlanRow } from './plan-row.tsx'
import { PromptRow, SentRow } from './prompt-row.tsx'
import type { Row, SentPrompt } from './rows.ts'
import { ThoughtRow } from './thought-row.tsx'
import { LookUpsRow, ToolRow } from './tool-row.tsx'

/** So near to the end counts as at the end, in pixels. */
const END_PX = 48
/** So near to the beginning the entries before are asked for, in pixels. */
const BEGINNING_PX = 800

/** What a transcript is told and can ask for. */
export interface TranscriptProps {
  rows: readonly Row[]
  hasEarlier: boolean
  loadEarlier: () => Promise<void>
  onForget: (id: string) => void
  onAgain: (sent: SentPrompt) => void
  /** What the agent is doing while nothing of it is to be seen yet. */
  isWaiting: boolean
}

/**
 * A conversation, drawn only where it is looked at. It stays at its end while somebody is there, and where it is while
 * somebody reads further up, whatever grows below or is added above.
 */
export function Transcript(props: TranscriptProps) {
  const { rows, hasEarlier, loadEarlier } = props
  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<VirtualizerHandle>(null)
  const { isAtEnd, toEnd, onScroll } = useStaysAtEnd(scroller)
  const isAdding = useIsAddedBefore(rows)
  const newBelow = useNewBelow(rows, isAtEnd)
  const isLoading = useRef(false)
  const loadIfNear = useCallback(() => {
    const element = scroller.current
    if (element === null || !hasEarlier || isLoading.current || element.scrollTop > BEGINNING_PX) return
    isLoading.current = true
    loadEarlier()
      .catch((thrown: unknown) => toastFailed('Earlier entries were not loaded', thrown))
      .finally(() => {
        isLoading.current = false
      })
  }, [hasEarlier, loadEarlier])
  // A page that does not fill the window is not scrolled, so it is looked at after every change too.
  useEffect(() => {
    if (rows.length > 0) loadIfNear()
  }, [rows, loadIfNear])
  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={scroller}
        role="log"
        aria-label="Conversation"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable to be scrolled
        tabIndex={0}
        onScroll={() => {
          onScroll()
          loadIfNear()
        }}
        className="flex h-full flex-col overflow-y-auto overscroll-contain [overflow-anchor:none] focus-visible:shadow-focus-inset"
      >
        {/* Few entries stand at the bottom, where the next one comes. */}
        <div className="flex-1" />
        {hasEarlier && (
          <p className="flex flex-none items-center justify-center gap-2 py-3 text-12 text-ink-3">
            <StateGlyph state="starting" className="!size-3.5" />
            Earlier entries
          </p>
        )}
        <div className="flex-none pt-2 pb-2.5">
          <Virtualizer ref={list} scrollRef={scroller} shift={isAdding} bufferSize={600}>
            {rows.map((row) => (
              <div key={row.key} className="mx-auto w-full max-w-[820px] px-5 py-[5px] max-md:px-3">
                <RowView row={row} onForget={props.onForget} onAgain={props.onAgain} />
              </div>
            ))}
          </Virtualizer>
          {props.isWaiting && (
            <p className="mx-auto flex w-full max-w-[820px] items-center gap-2 px-[22px] py-[5px] text-12 text-ink-3">
              <StateGlyph state="working" className="!size-3.5" />
              Working
            </p>
          )}
        </div>
      </div>
      {!isAtEnd && rows.length > 0 && (
        <button
          type="button"
          onClick={toEnd}
          className="animate-fade absolute bottom-2 left-1/2 flex h-7 -translate-x-1/2 cursor-default items-center gap-1.5 rounded-full border border-line-3 bg-overlay px-3 text-12 font-medium shadow-pop hover:bg-surface-4 max-md:h-11"
        >
          <ArrowDown className="icon-14 text-ink-2" />
          {newBelow > 0 ? `${newBelow} new below` : 'To the end'}
        </button>
      )}
    </div>
  )
}

const RowView = memo(
  function RowView({ row, onForget, onAgain }: { row: Row } & Pick<TranscriptProps, 'onForget' | 'onAgain'>) {
    switch (row.kind) {
      case 'prompt':
        return <PromptRow entry={row.entry} />
      case 'sent':
        return <SentRow sent={row.sent} onForget={() => onForget(row.sent.id)} onAgain={() => onAgain(row.sent)} />
      case 'message':
        return row.entry.role === 'thought' ? (
          <ThoughtRow entry={row.entry} isGrowing={row.isGrowing} />
        ) : (
          <MessageRow entry={row.entry} isGrowing={row.isGrowing} />
        )
      case 'tool':
        return <ToolRow entry={row.entry} isLastEdit={row.isLastEdit} />
      case 'tools':
        return <LookUpsRow entries={row.entries} />
      case 'plan':
        return <PlanRow entry={row.entry} isLatest={row.isLatest} isRunning={row.isRunning} />
      case 'notice':
        return <NoticeRow entry={row.entry} />
      default:
        return row satisfies never
    }
  },
  (before, after) =>
    before.onForget === after.onForget && before.onAgain === after.onAgain && isSame(before.row, after.row),
)

/** Rows are laid out anew at every change; most of them are as they were. */
function isSame(a: Row, b: Row): boolean {
  if (a.kind === 'tools')
    return (
      b.kind === 'tools' &&
      a.entries.length === b.entries.length &&
      a.entries.every((entry, index) => entry === b.entries[index])
    )
  if (a.kind === 'sent') return b.kind === 'sent' && a.sent === b.sent
  if (b.kind === 'tools' || b.kind === 'sent' || a.entry !== b.entry) return false
  if (a.kind === 'message') return b.kind === 'message' && a.isGrowing === b.isGrowing
  if (a.kind === 'tool') return b.kind === 'tool' && a.isLastEdit === b.isLastEdit
  return a.kind !== 'plan' || (b.kind === 'plan' && a.isLatest === b.isLatest && a.isRunning === b.isRunning)
}

/** Keeps the end in sight while it is, until a person scrolls away from it. */
function useStaysAtEnd(scroller: RefObject<HTMLDivElement | null>) {
  const [isAtEnd, setAtEnd] = useState(true)
  const wants = useRef(true)
  const last = useRef({ top: 0, height: 0 })
  const toEnd = useCallback(() => {
    wants.current = true
    setAtEnd(true)
    const element = scroller.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [scroller])
  const onScroll = useCallback(() => {
    const element = scroller.current
    if (element === null) return
    const { scrollTop: top, scrollHeight: height, clientHeight } = element
    const isEnd = height - top - clientHeight < END_PX
    // Only moving up while nothing has shrunk is a person's doing: what grows or shrinks moves the rest by itself.
    if (isEnd) wants.current = true
    else if (top < last.current.top - 1 && height >= last.current.height) wants.current = false
    last.current = { top, height }
    setAtEnd(wants.current)
  }, [scroller])
  useLayoutEffect(() => {
    const element = scroller.current
    if (element === null) return
    const keep = () => {
      if (wants.current) element.scrollTop = element.scrollHeight
    }
    const observer = new ResizeObserver(keep)
    observer.observe(element)
    for (const child of element.children) observer.observe(child)
    keep()
    return () => observer.disconnect()
  })
  return { isAtEnd, toEnd, onScroll }
}

/** True while the rows differ from the last ones by what was put before them. */
function useIsAddedBefore(rows: readonly Row[]): boolean {
  const before = useRef<{ first: string | undefined; last: string | undefined; length: number }>(undefined)
  const [first, last, length] = [rows[0]?.key, rows.at(-1)?.key, rows.length]
  const known = before.current
  const isAdded = known?.first !== undefined && known.first !== first && known.last === last && length > known.length
  useLayoutEffect(() => {
    before.current = { first, last, length }
  }, [first, last, length])
  return isAdded
}

/** How many rows came after the last one that was there when the end was left. */
function useNewBelow(rows: readonly Row[], isAtEnd: boolean): number {
  const [seen, setSeen] = useState<string>()
  const last = rows.at(-1)?.key
  useEffect(() => {
    if (isAtEnd) setSeen(last)
  }, [isAtEnd, last])
  if (isAtEnd || seen === undefined) return 0
  const at = rows.findLastIndex((row) => row.key === seen)
  return at === -1 ? 0 : rows.length - 1 - at
}
