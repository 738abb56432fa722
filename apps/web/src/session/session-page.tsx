import type { Orchestrator, Session } from '@ai-orchestration/protocol'
import { Activity, ChevronLeft, Clock, GitBranch, Server, Square, Terminal } from 'lucide-react'
import Link from 'next/link'
import { useEffect, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { trpc } from '../relay/trpc.ts'
import { useOrchestrators, useRoleReason, useSessionCommand, useSessions } from '../relay/use-fleet.ts'
import { Banner } from '../shell/banner.tsx'
import { BottomTabs } from '../shell/bottom-nav.tsx'
import { useDialogs } from '../shell/dialogs.tsx'
import { NotFound } from '../shell/not-found.tsx'
import { PageTitle } from '../shell/page-title.tsx'
import { useRouteId } from '../shell/route-id.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'
import { toastDone, toastFailed } from '../ui/toast.ts'
import { SessionActivity } from './session-activity.tsx'
import { SessionStarting } from './session-starting.tsx'
import type { SessionFace } from './session-state.ts'
import { SessionTerminal } from './session-terminal.tsx'
import { type StartedHere, useStartedHere } from './started-here.ts'
import { StatePill } from './state-pill.tsx'
import { useFaces } from './use-face.ts'

const VIEWS = [
  { id: 'terminal', label: 'Terminal', icon: Terminal },
  { id: 'activity', label: 'Activity', icon: Activity },
] as const
type View = (typeof VIEWS)[number]['id']

/** One session: what it is, its terminal, and what happened in it. */
export function SessionPage() {
  const id = useRouteId()
  const sessions = useSessions()
  const orchestrators = useOrchestrators()
  const started = useStartedHere(id ?? '')
  const present = sessions?.find((each) => each.id === id)
  const last = useLastSeen(present)
  const known = last?.id === id ? last : undefined
  // A relay that was restarted does not know a session until its machine is back; that is not its end.
  const isAway =
    present === undefined &&
    known !== undefined &&
    !orchestrators?.some((each) => each.id === known.orchestratorId && each.state === 'online')
  const session = isAway ? known : present
  if (id === undefined || (sessions === undefined && started === undefined)) return <Banner />
  if (session === undefined && known !== undefined)
    return <NotFound title="This session has ended" text="It was removed; its commits are on its branch." />
  if (session === undefined && started === undefined)
    return <NotFound title="No such session" text={`There is no session ${id}. It may have been removed.`} />
  return <Present key={id} id={id} session={session} started={started} />
}

function Present({
  id,
  session,
  started,
}: {
  id: string
  session: Session | undefined
  started: StartedHere | undefined
}) {
  const [view, setView] = useState<View>('terminal')
  const orchestrators = useOrchestrators()
  const faceOf = useFaces()
  const face: SessionFace =
    session !== undefined
      ? faceOf(session)
      : started?.error === undefined
        ? { glyph: 'starting', word: 'Starting', doing: 'Starting', isStale: false }
        : { glyph: 'failed', word: 'Not created', doing: started.error.message, isStale: false }
  const isStarting = session === undefined || session.state === 'starting'
  return (
    <>
      <Header id={id} session={session} started={started} face={face} />
      <Tabs
        view={view}
        onChange={setView}
        session={session}
        orchestrator={orchestrators?.find((each) => each.id === session?.orchestratorId)}
      />
      <Banner />
      <div role="tabpanel" id="session-panel" className="flex min-h-0 flex-1 flex-col">
        {view === 'activity' ? (
          <SessionActivity sessionId={id} session={session} />
        ) : isStarting ? (
          <SessionStarting sessionId={id} started={started} />
        ) : (
          <SessionTerminal session={session} face={face} />
        )}
      </div>
      <BottomTabs views={VIEWS} current={view} onChange={setView} />
    </>
  )
}

function Header({
  id,
  session,
  started,
  face,
}: {
  id: string
  session: Session | undefined
  started: StartedHere | undefined
  face: SessionFace
}) {
  const projectId = session?.projectId ?? started?.input.projectId ?? ''
  const title = session?.title ?? started?.input.title ?? session?.name ?? started?.input.name ?? id
  return (
    <header className="flex h-12 flex-none items-center gap-2 border-b border-line-1 px-5 max-md:h-[52px] max-md:gap-0 max-md:px-0">
      <PageTitle title={title} />
      <Link
        href="/"
        prefetch={false}
        aria-label="Back to the fleet"
        className="grid size-11 flex-none place-items-center text-ink-2 md:hidden"
      >
        <ChevronLeft className="icon-20" />
      </Link>
      <div className="flex min-w-0 items-center gap-2 max-md:hidden">
        <Link href={`/projects/${projectId}`} prefetch={false} className="flex-none text-ink-2 hover:text-ink-1">
          {projectId}
        </Link>
        <span aria-hidden="true" className="text-ink-4">
          /
        </span>
        <h1 className="truncate text-14 font-semibold" title={id}>
          {title}
        </h1>
        <StatePill face={face} />
      </div>
      <div className="min-w-0 flex-1 md:hidden">
        <p className="truncate text-15/[20px] font-semibold">{title}</p>
        <p className="flex items-center gap-1.5 truncate text-12 text-ink-2">
          <StateGlyph state={face.glyph} className="!size-3.5" />
          <span className="font-medium">{face.word}</span>
          <span className="truncate text-ink-3">
            {projectId}
            {session !== undefined && (
              <>
                {' · '}
                {session.agent} · <Age at={session.createdAt} />
              </>
            )}
          </span>
        </p>
      </div>
      <span className="flex-1 max-md:hidden" />
      {session !== undefined && session.state !== 'starting' ? (
        <EndButton session={session} />
      ) : (
        started?.error === undefined && <CancelButton sessionId={id} started={started} />
      )}
    </header>
  )
}

function EndButton({ session }: { session: Session }) {
  const dialogs = useDialogs()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const word = session.state === 'running' || session.state === 'starting' ? 'Terminate' : 'Remove'
  const open = () => dialogs.open({ kind: 'terminate', sessionId: session.id })
  return (
    <Button
      onClick={open}
      disabledReason={offline ?? role}
      aria-label={`${word} this session`}
      className="max-md:w-11 max-md:!border-transparent max-md:!bg-transparent max-md:!px-0"
    >
      <Square className="icon-14 max-md:!size-4" />
      <span className="max-md:hidden">{word}</span>
    </Button>
  )
}

function CancelButton({ sessionId, started }: { sessionId: string; started: StartedHere | undefined }) {
  const { client } = trpc.useUtils()
  const seen = useSessionCommand(sessionId, 'create_session')
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const commandId = started?.commandId ?? seen?.commandId
  if (commandId === undefined) return null
  const cancel = async () => {
    try {
      const { outcome } = await client.commands.cancel.mutate({ commandId })
      if (outcome === 'too-late') toastDone('It was too late to cancel: the session is there')
    } catch (thrown) {
      toastFailed('It was not cancelled', thrown)
    }
  }
  return (
    <Button onClick={() => void cancel()} disabledReason={offline ?? role} className="max-md:mr-2">
      <Square className="icon-14" />
      Cancel
    </Button>
  )
}

function Tabs(props: {
  view: View
  onChange: (view: View) => void
  session: Session | undefined
  orchestrator: Orchestrator | undefined
}) {
  const { session, orchestrator } = props
  return (
    <div className="flex h-[38px] flex-none items-stretch border-b border-line-1 pr-5 pl-3 max-md:hidden">
      <div role="tablist" aria-label="Session" className="flex">
        {VIEWS.map(({ id, label, icon: Icon }) => (
          <button
            key={id}
            type="button"
            role="tab"
            aria-selected={props.view === id}
            aria-controls="session-panel"
            tabIndex={props.view === id ? 0 : -1}
            onKeyDown={(event) => {
              if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
              const other = VIEWS.find((each) => each.id !== id)
              if (other === undefined) return
              props.onChange(other.id)
              event.currentTarget.parentElement?.querySelector<HTMLElement>(`[data-view="${other.id}"]`)?.focus()
            }}
            data-view={id}
            onClick={() => props.onChange(id)}
            className={cx(
              'relative flex cursor-default items-center gap-[7px] px-2.5 font-medium focus-visible:shadow-focus-inset',
              props.view === id
                ? 'text-ink-1 after:absolute after:inset-x-2.5 after:-bottom-px after:h-0.5 after:rounded-full after:bg-ink-1'
                : 'text-ink-2 hover:text-ink-1 [&_.lucide]:text-ink-3',
            )}
          >
            <Icon />
            {label}
          </button>
        ))}
      </div>
      {session !== undefined && (
        <div className="ml-auto flex min-w-0 items-center gap-4 overflow-hidden text-12 whitespace-nowrap text-ink-2 [&_.lucide]:text-ink-3">
          <span className="flex min-w-0 items-center gap-1.5">
            <GitBranch className="icon-14" />
            <span className="code-sm truncate">{session.branch}</span>
            <span className="text-ink-3">from {session.base.ref}</span>
          </span>
          <span>{orchestrator?.agents.find((each) => each.id === session.agent)?.name ?? session.agent}</span>
          <span
            className="flex items-center gap-1.5"
            title={
              session.isolation === 'full'
                ? 'Fully isolated'
                : ['Isolation is degraded by the admin of this machine', ...(session.lacks ?? [])].join('\n')
            }
          >
            <Server className="icon-14" />
            {orchestrator?.name ?? 'unknown'}
            {session.isolation === 'degraded' && <span className="text-needs">degraded isolation</span>}
          </span>
          <span className="flex items-center gap-1.5">
            <Clock className="icon-14" />
            <Age at={session.createdAt} isLong />
          </span>
        </div>
      )}
    </div>
  )
}

/** The session as this page last saw it, so that its going away can be told from never having been. */
function useLastSeen(session: Session | undefined): Session | undefined {
  const [last, setLast] = useState<Session>()
  useEffect(() => {
    if (session !== undefined) setLast(session)
  }, [session])
  return last
}
