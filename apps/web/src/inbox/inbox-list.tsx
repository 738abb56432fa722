import type { Question } from '@ai-orchestration/protocol'
import { useRouter } from 'next/router'
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { useOrchestrators, useSessions, useSettled } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'
import { dismiss, type InboxItem, useForgetDismissals } from './inbox-items.ts'
import { type Place, QuestionCard, SessionLink } from './question-card.tsx'
import { useAnswerKeys } from './use-answer-keys.ts'
import { useLingering } from './use-lingering.ts'

/** How long a settled question stays to say who answered, in milliseconds. */
const LINGER_MS = 4_000

/** What waits for a person, each answerable in place. The marked one is what the keys answer. */
export function InboxList({ items }: { items: readonly InboxItem[] }) {
  const open = useMemo(() => items.filter((item) => item.kind === 'question'), [items])
  const looks = items.filter((item) => item.kind === 'session')
  useForgetDismissals()
  const shown = [...useLingering<InboxItem>(open, LINGER_MS), ...looks.map((item) => ({ item, isGone: false }))]
  const settled = useSettled()
  const sessions = useSessions()
  const orchestrators = useOrchestrators()
  const [marked, setMarked] = useState<string>()
  const list = useRef<HTMLDivElement>(null)
  const current = open.find((item) => item.id === marked) ?? open[0]
  const placeOf = useMemo(
    () =>
      (sessionId: string, projectId: string): Place => {
        const session = sessions?.find((each) => each.id === sessionId)
        const machine = orchestrators?.find((each) => each.id === session?.orchestratorId)
        const agent = machine?.agents.find((each) => each.id === session?.agent)?.name ?? session?.agent ?? ''
        const title = session?.title ?? session?.name ?? sessionId
        return { kind: 'inbox', session: { id: sessionId, title, projectId, agent } }
      },
    [sessions, orchestrators],
  )
  useFocusStays(list, current?.id)
  return (
    <div
      ref={list}
      hidden={shown.length === 0}
      className="mx-5 overflow-hidden rounded-4 border border-line-2 bg-surface-2 [--cut:var(--bg-2)] max-md:mx-3 max-md:flex max-md:flex-col max-md:gap-2 max-md:rounded-[0] max-md:border-0 max-md:bg-transparent"
    >
      {current !== undefined && <Keys question={current.question} />}
      {shown.map(({ item, isGone }) => (
        <Item
          key={item.id}
          item={item}
          isGone={isGone}
          isMarked={item.id === current?.id}
          onMark={() => setMarked(item.id)}
        >
          {item.kind === 'question' ? (
            <QuestionCard
              question={item.question}
              settled={settled[item.id] ?? (isGone ? { ...item.question, state: 'withdrawn' } : undefined)}
              place={placeOf(item.question.sessionId, item.question.projectId)}
              hasKeys={item.id === current?.id}
            />
          ) : (
            <SessionCard item={item} place={placeOf(item.session.id, item.session.projectId)} />
          )}
        </Item>
      ))}
    </div>
  )
}

function Keys({ question }: { question: Question }) {
  useAnswerKeys(question)
  return null
}

function Item(props: { item: InboxItem; isGone: boolean; isMarked: boolean; onMark: () => void; children: ReactNode }) {
  const { item, isGone, isMarked, onMark, children } = props
  const router = useRouter()
  const sessionId = item.kind === 'question' ? item.question.sessionId : item.session.id
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && event.target === event.currentTarget) void router.push(`/sessions/${sessionId}`)
  }
  return (
    <article
      data-row={isGone ? undefined : item.id}
      tabIndex={isGone ? -1 : 0}
      aria-label={labelOf(item)}
      onFocus={onMark}
      onKeyDown={onKey}
      className={cx(
        'relative border-t border-line-1 first:border-t-0 focus-visible:shadow-focus-inset max-md:rounded-[10px] max-md:border max-md:border-line-2 max-md:bg-surface-2 max-md:first:border-t',
        isMarked &&
          !isGone &&
          'bg-surface-3 [--cut:var(--bg-3)] before:absolute before:inset-y-2.5 before:left-0 before:w-0.5 before:rounded-full before:bg-accent max-md:bg-surface-2 max-md:before:hidden',
        isGone && 'animate-[leave_var(--d-slow)_var(--ease-out)_3.7s_forwards] overflow-hidden',
      )}
    >
      {children}
    </article>
  )
}

function SessionCard({ item, place }: { item: Extract<InboxItem, { kind: 'session' }>; place: Place }) {
  const { session, why } = item
  const router = useRouter()
  const face = useFaces()(session)
  const open = () => void router.push(`/sessions/${session.id}`)
  return (
    <div className="grid grid-cols-[16px_minmax(0,1fr)] gap-x-3 py-2.5 pr-3 pl-3.5 max-md:p-3">
      <StateGlyph state={why === 'failed' ? 'failed' : 'needs'} className="mt-0.5" />
      <div className="min-w-0">
        <div className="flex items-baseline gap-2">
          <b className="flex-none font-semibold max-md:text-15">
            {why === 'failed' ? 'Session failed' : 'Waits on its terminal'}
          </b>
          {place.session !== undefined && (
            <span className="flex min-w-0 items-baseline gap-2">
              <SessionLink session={place.session} />
              <span className="flex-none text-12 text-ink-3 max-md:hidden">{session.projectId}</span>
            </span>
          )}
          <span className="flex-1" />
          <span className="flex-none text-12 text-ink-3">
            <Age at={session.exit?.at ?? session.updatedAt} isLong /> ago
          </span>
        </div>
        <div className="mt-1.5 flex items-center gap-x-5 gap-y-2 max-md:flex-col max-md:items-stretch max-md:gap-y-3">
          <p className="min-w-0 flex-1 truncate text-ink-2 max-md:whitespace-normal" title={inertText(face.doing)}>
            {inertText(face.doing)}
            {why === 'failed' && session.exit !== undefined && '. Its worktree is kept.'}
          </p>
          <span className="flex gap-1.5 max-md:gap-2 max-md:[&>*]:flex-1">
            <Button onClick={open}>Open</Button>
            <Button onClick={() => dismiss(item.id)}>Dismiss</Button>
          </span>
        </div>
      </div>
    </div>
  )
}

function labelOf(item: InboxItem): string {
  if (item.kind === 'question') return `Question: ${inertText(item.question.title)}`
  return `${item.why === 'failed' ? 'Failed' : 'Waits'}: ${inertText(item.session.title ?? item.session.name)}`
}

/** When the focused item leaves, the focus goes to the next one instead of nowhere. */
function useFocusStays(list: RefObject<HTMLDivElement | null>, currentId: string | undefined): void {
  const had = useRef(false)
  useEffect(() => {
    const element = list.current
    if (element === null) return
    const note = () => {
      had.current = element.contains(document.activeElement)
    }
    document.addEventListener('focusin', note)
    return () => document.removeEventListener('focusin', note)
  }, [list])
  useEffect(() => {
    if (!had.current || currentId === undefined || document.activeElement !== document.body) return
    list.current?.querySelector<HTMLElement>(`[data-row="${currentId}"]`)?.focus()
  }, [list, currentId])
}
