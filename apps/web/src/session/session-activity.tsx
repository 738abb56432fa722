import type { Command, CommandState, Session } from '@ai-orchestration/protocol'
import { useState } from 'react'
import type { CommandView } from '../relay/fleet-state.ts'
import { trpc } from '../relay/trpc.ts'
import { useCommands } from '../relay/use-fleet.ts'
import { cx } from '../ui/cx.ts'
import { type GlyphState, StateGlyph } from '../ui/state-glyph.tsx'
import { Age, clockTime } from '../ui/time.tsx'
import { exitLine } from './session-state.ts'
import { StepList } from './step-list.tsx'

interface Entry {
  id: string
  at: string
  glyph: GlyphState
  title: string
  note?: string | undefined
  error?: string | undefined
  steps?: CommandView['steps'] | undefined
}

/** What happened in a session: its commands with their steps, its start and its end, newest first. */
export function SessionActivity({ sessionId, session }: { sessionId: string; session: Session | undefined }) {
  const past = trpc.commands.list.useQuery({ sessionId, limit: 100 })
  const commands = useCommands()
  const watched = Object.values(commands).filter((each) => each.sessionId === sessionId)
  const entries = [...commandEntries(past.data ?? [], watched), ...sessionEntries(session)].sort((a, b) =>
    a.at < b.at ? 1 : -1,
  )
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <ol className="mx-auto w-full max-w-[820px] py-2">
        {entries.map((entry) => (
          <Row key={entry.id} entry={entry} />
        ))}
      </ol>
      {past.isError && (
        <p className="px-5 text-12 text-failed">The earlier commands could not be loaded. {past.error.message}</p>
      )}
      {entries.length === 0 && !past.isPending && (
        <p className="p-5 text-center text-ink-3">Nothing has happened yet.</p>
      )}
    </div>
  )
}

function Row({ entry }: { entry: Entry }) {
  const hasSteps = entry.steps !== undefined && entry.steps.length > 0
  const [isOpen, setOpen] = useState(false)
  return (
    <li className="border-b border-line-1 px-5 py-2.5 last:border-b-0 max-md:px-4">
      <div className="grid grid-cols-[16px_minmax(0,1fr)_auto] items-start gap-x-3">
        <StateGlyph state={entry.glyph} className="mt-0.5" />
        <div className="min-w-0">
          <span className="font-medium">{entry.title}</span>
          {entry.note !== undefined && <span className="ml-2 text-12 text-ink-3">{entry.note}</span>}
          {entry.error !== undefined && <p className="mt-0.5 text-12 break-words text-failed">{entry.error}</p>}
          {hasSteps && (
            <button
              type="button"
              aria-expanded={isOpen}
              onClick={() => setOpen(!isOpen)}
              className="ml-2 text-12 text-accent max-md:py-2"
            >
              {isOpen ? 'Hide steps' : `${entry.steps?.length ?? 0} steps`}
            </button>
          )}
        </div>
        <span className="text-12/[20px] text-ink-3" title={clockTime(entry.at)}>
          <Age at={entry.at} /> ago
        </span>
      </div>
      {isOpen && hasSteps && (
        <div className={cx('mt-1 pl-7')}>
          <StepList steps={entry.steps ?? []} />
        </div>
      )}
    </li>
  )
}

function commandEntries(past: Command[], watched: CommandView[]): Entry[] {
  const byId = new Map<string, Entry>()
  for (const command of past)
    byId.set(command.commandId, {
      id: command.commandId,
      at: command.createdAt,
      glyph: glyphOf(command.state),
      title: titleOf(command.command),
      note: noteOf(command.state),
      error: command.error?.message,
    })
  for (const view of watched) {
    const known = byId.get(view.commandId)
    byId.set(view.commandId, {
      id: view.commandId,
      at: known?.at ?? view.at,
      glyph: glyphOf(view.state),
      title: view.command === '' ? (known?.title ?? 'Command') : titleOf(view.command),
      note: [view.by === undefined ? undefined : `by ${view.by}`, noteOf(view.state)]
        .filter((each) => each !== undefined)
        .join(', '),
      error: view.error?.message ?? known?.error,
      steps: view.steps,
    })
  }
  return [...byId.values()]
}

function sessionEntries(session: Session | undefined): Entry[] {
  if (session === undefined) return []
  const entries: Entry[] = [
    {
      id: 'created',
      at: session.createdAt,
      glyph: 'idle',
      title: 'Session began',
      note: `${session.branch} from ${session.base.ref} at ${session.base.commit.slice(0, 7)}`,
    },
  ]
  if (session.headCommit !== undefined && session.headCommit !== session.base.commit)
    entries.push({
      id: 'head',
      at: session.updatedAt,
      glyph: 'done',
      title: 'Commits came home',
      note: `${session.branch} is at ${session.headCommit.slice(0, 7)}`,
    })
  if (session.exit !== undefined)
    entries.push({
      id: 'exit',
      at: session.exit.at,
      glyph: session.state === 'failed' ? 'failed' : 'paused',
      title: exitLine(session.exit),
    })
  return entries
}

function titleOf(command: string): string {
  const text = command.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function glyphOf(state: CommandState): GlyphState {
  switch (state) {
    case 'accepted':
    case 'dispatched':
    case 'running':
      return 'starting'
    case 'unknown':
      return 'offline'
    case 'succeeded':
      return 'done'
    case 'cancelled':
    case 'expired':
      return 'paused'
    case 'failed':
    case 'rejected':
    case 'interrupted':
      return 'failed'
    default:
      return state satisfies never
  }
}

function noteOf(state: CommandState): string | undefined {
  switch (state) {
    case 'succeeded':
      return undefined
    case 'accepted':
      return 'waiting'
    case 'dispatched':
    case 'running':
      return 'running'
    case 'unknown':
      return 'not known while its machine is away'
    case 'failed':
      return 'failed, what it had done was undone'
    case 'rejected':
      return 'refused'
    case 'cancelled':
      return 'cancelled'
    case 'expired':
      return 'never started'
    case 'interrupted':
      return 'interrupted'
    default:
      return state satisfies never
  }
}
