import type { Session } from '@ai-orchestration/protocol'
import { useCallback, useEffect, useMemo, useRef } from 'react'
import { QuestionCard } from '../inbox/question-card.tsx'
import { useAnswerKeys } from '../inbox/use-answer-keys.ts'
import { useLingering } from '../inbox/use-lingering.ts'
import { useOfflineReason } from '../relay/connection.ts'
import { trpc } from '../relay/trpc.ts'
import { useOrchestrators, useQuestions, useRoleReason, useSettled } from '../relay/use-fleet.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { toastFailed } from '../ui/toast.ts'
import type { ChatState } from './chat-feed.ts'
import { Composer } from './composer.tsx'
import { OpenRows } from './open-rows.tsx'
import { queueOf, rowsOf, type SentPrompt } from './rows.ts'
import { QuestionsContext, useSessionQuestions } from './tool-questions.ts'
import { Transcript } from './transcript.tsx'
import { useChat } from './use-chat.ts'

/** How long a settled question stays above the prompt, in milliseconds. */
const LINGER_MS = 4_000

/** A session's conversation with its agent: all of it, what it asks, and what to ask it next. */
export function SessionChat({ session }: { session: Session }) {
  const { chat, feed } = useChat(session.id)
  const questions = useSessionQuestions(session.id)
  const field = useRef<HTMLTextAreaElement>(null)
  const reason = useReason(session, chat)
  const interrupt = useInterrupt(session.id, chat)
  const { entries, sent, head } = chat
  const isWorking = head?.state === 'working'
  const isBusy = isWorking || head?.state === 'needs_input'
  const rows = useMemo(() => rowsOf(entries, sent, isBusy), [entries, sent, isBusy])
  const queue = useMemo(() => queueOf(entries), [entries])
  const last = rows.at(-1)
  const loadEarlier = useCallback(async () => await feed?.loadEarlier(), [feed])
  const forget = useCallback((id: string) => feed?.forget(id), [feed])
  const again = useCallback(
    (prompt: SentPrompt) => {
      feed?.forget(prompt.id)
      void feed?.prompt(prompt.text)
    },
    [feed],
  )
  return (
    <QuestionsContext value={questions}>
      <OpenRows>
        <div className="flex min-h-0 flex-1 flex-col">
          <State chat={chat} />
          {chat.isLive && rows.length === 0 && queue.length === 0 ? (
            <Empty />
          ) : rows.length === 0 && sent.length === 0 ? (
            <Loading isFailing={chat.error !== undefined} />
          ) : (
            <Transcript
              rows={rows}
              hasEarlier={chat.hasEarlier}
              loadEarlier={loadEarlier}
              onForget={forget}
              onAgain={again}
              isWaiting={isWorking && (last?.kind === 'prompt' || last?.kind === 'sent')}
            />
          )}
          <Asked sessionId={session.id} />
          {session.state !== 'stopped' && session.state !== 'failed' && (
            <Composer
              sessionId={session.id}
              head={head}
              queue={queue}
              reason={reason}
              onSend={(text) => void feed?.prompt(text)}
              onInterrupt={interrupt}
              field={field}
            />
          )}
        </div>
      </OpenRows>
    </QuestionsContext>
  )
}

/** What the agent asks now, pinned above the prompt so that it cannot scroll away. */
function Asked({ sessionId }: { sessionId: string }) {
  const all = useQuestions()
  const settled = useSettled()
  const waiting = useMemo(() => all?.filter((each) => each.sessionId === sessionId) ?? [], [all, sessionId])
  const shown = useLingering(waiting, LINGER_MS)
  const [first] = waiting
  if (shown.length === 0) return null
  return (
    <section
      aria-label="Needs you"
      className="mx-auto flex max-h-[50dvh] w-full max-w-[820px] flex-none flex-col gap-2 overflow-y-auto px-5 pt-1 pb-2.5 max-md:px-3"
    >
      {first !== undefined && <Keys question={first} />}
      {shown.map(({ item, isGone }) => (
        <QuestionCard
          key={item.id}
          question={item}
          settled={settled[item.id] ?? (isGone ? { ...item, state: 'withdrawn' } : undefined)}
          place={{ kind: 'chat' }}
          hasKeys={item === first}
        />
      ))}
    </section>
  )
}

function Keys({ question }: { question: Parameters<typeof useAnswerKeys>[0] }) {
  useAnswerKeys(question)
  return null
}

function State({ chat }: { chat: ChatState }) {
  const { error, head, isLive } = chat
  const word =
    error !== undefined
      ? undefined
      : head === undefined || !isLive
        ? 'Loading the conversation'
        : head.state === 'needs_input'
          ? 'The agent needs your answer'
          : head.state === 'working'
            ? 'The agent is working'
            : head.state === 'idle'
              ? 'The agent waits for a prompt'
              : ''
  return (
    <>
      <p role="status" className="sr-only">
        {word}
      </p>
      {error !== undefined && (
        <p
          role="alert"
          className="flex min-h-8 flex-none items-center gap-2.5 border-b border-line-1 bg-surface-2 px-5 py-1.5 text-12 text-ink-2 [--cut:var(--bg-2)] max-md:px-4"
        >
          <StateGlyph state="offline" />
          <span className="min-w-0 [overflow-wrap:anywhere]">
            The conversation cannot be followed now. {error.message}
          </span>
        </p>
      )}
    </>
  )
}

function Loading({ isFailing }: { isFailing: boolean }) {
  return (
    <div className="grid min-h-0 flex-1 place-content-center justify-items-center gap-2 p-5 text-12 text-ink-3">
      {!isFailing && (
        <>
          <StateGlyph state="starting" />
          Loading the conversation
        </>
      )}
    </div>
  )
}

function Empty() {
  return (
    <div className="grid min-h-0 flex-1 place-content-center gap-1 p-5 text-center">
      <p className="font-medium text-ink-2">Nothing has been said yet</p>
      <p className="text-12 text-ink-3">
        Write what the agent shall do. Its answer, its tools and its questions appear here.
      </p>
    </div>
  )
}

/** Why nothing can be sent now; `undefined` when it can. */
function useReason(session: Session, { head }: ChatState): string | undefined {
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const machine = useOrchestrators()?.find((each) => each.id === session.orchestratorId)
  if (offline !== undefined || role !== undefined) return offline ?? role
  if (machine?.state === 'offline') return `${machine.name} is offline`
  if (session.state === 'paused') return 'The session is paused'
  return head?.state === 'ended' ? 'The agent has ended' : undefined
}

/** Esc, and the button, tell the agent to stop what it does now. */
function useInterrupt(sessionId: string, { head }: ChatState): () => void {
  const { client } = trpc.useUtils()
  const dialogs = useDialogs()
  const isBusy = head?.state === 'working' || head?.state === 'needs_input'
  const interrupt = useCallback(() => {
    client.chat.cancel.mutate({ sessionId }).catch((thrown: unknown) => toastFailed('It was not interrupted', thrown))
  }, [client, sessionId])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented || event.repeat || !isBusy) return
      // A terminal beside the chat has its own Esc, and so has whatever is open over the page.
      const isElsewhere =
        event.target instanceof HTMLElement && event.target.closest('.xterm, [role="menu"], [role="listbox"]') !== null
      if (isElsewhere || dialogs.current !== undefined) return
      event.preventDefault()
      interrupt()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [isBusy, interrupt, dialogs])
  return interrupt
}
