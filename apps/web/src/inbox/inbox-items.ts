import type { Question, Session } from '@ai-orchestration/protocol'
import { useEffect } from 'react'
import { createStore, useStore } from '../relay/store.ts'
import { useQuestions, useSessions } from '../relay/use-fleet.ts'

/** One thing that waits for a person. */
export type InboxItem =
  | { kind: 'question'; id: string; question: Question }
  /** A session that failed, or whose agent waits on its own screen. */
  | { kind: 'session'; id: string; session: Session; why: 'failed' | 'waits' }

const KEY = 'aio.dismissed'
/** Dismissals that are remembered; a session that is gone needs none. */
const DISMISSED_MAX = 200
const dismissed = createStore<readonly string[] | undefined>(undefined)

/** What waits for a person: questions, the oldest first, then sessions that need a look; `undefined` until it is known. */
export function useInbox(): InboxItem[] | undefined {
  const questions = useQuestions()
  const sessions = useSessions()
  const gone = useStore(dismissed, undefined) ?? kept()
  if (questions === undefined || sessions === undefined) return undefined
  return inboxOf(questions, sessions, gone)
}

/** How many things wait for a person. */
export function useInboxCount(): number {
  return useInbox()?.length ?? 0
}

/** Lays the inbox out. */
export function inboxOf(
  questions: readonly Question[],
  sessions: readonly Session[],
  gone: readonly string[],
): InboxItem[] {
  const asking = new Set(questions.map((question) => question.sessionId))
  const looks = sessions.flatMap((session): InboxItem[] => {
    const why = whyLook(session, asking)
    const id = why === undefined ? '' : keyOf(session, why)
    return why === undefined || gone.includes(id) ? [] : [{ kind: 'session', id, session, why }]
  })
  return [...questions.map((question): InboxItem => ({ kind: 'question', id: question.id, question })), ...looks]
}

/** Forgets dismissals of what is over: should it happen again, it is shown again. */
export function useForgetDismissals(): void {
  const sessions = useSessions()
  useEffect(() => {
    const all = dismissed.get() ?? kept()
    if (sessions === undefined || all.length === 0) return
    const open = new Set(
      sessions.flatMap((session) => {
        const why = whyLook(session, new Set())
        return why === undefined ? [] : [keyOf(session, why)]
      }),
    )
    // A session that is not known now may come back with its machine.
    const known = new Set(sessions.map(({ id }) => id))
    const still = all.filter((id) => open.has(id) || !known.has(id.split(' ')[0] ?? ''))
    if (still.length < all.length) keep(still)
  }, [sessions])
}

/** Takes a session out of the inbox until something new happens to it; kept in this browser. */
export function dismiss(id: string): void {
  keep([...(dismissed.get() ?? kept()), id].slice(-DISMISSED_MAX))
}

function keep(all: readonly string[]): void {
  window.localStorage.setItem(KEY, JSON.stringify(all))
  dismissed.set(all)
}

function whyLook(session: Session, asking: ReadonlySet<string>): 'failed' | 'waits' | undefined {
  const { state, exit, attention } = session
  if (state === 'failed') return 'failed'
  if (state === 'stopped')
    return exit?.reason === 'exited' && exit.code === 0 ? undefined : exit?.reason === 'killed' ? undefined : 'failed'
  if (state !== 'running') return undefined
  if (attention === 'failed') return 'failed'
  return attention === 'needs_input' && !asking.has(session.id) ? 'waits' : undefined
}

/** The same until the session fails, or waits, anew. */
function keyOf(session: Session, why: string): string {
  return `${session.id} ${why} ${session.exit?.at ?? ''}`
}

let fromStorage: readonly string[] | undefined
function kept(): readonly string[] {
  if (typeof window === 'undefined') return []
  fromStorage ??= readKept(window.localStorage.getItem(KEY))
  return fromStorage
}

function readKept(text: string | null): readonly string[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
  } catch {
    // Another program has written there; what was dismissed is shown again.
    return []
  }
}
