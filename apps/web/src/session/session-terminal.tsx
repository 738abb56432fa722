import type { Session } from '@ai-orchestration/protocol'
import { GitBranch } from 'lucide-react'
import dynamic from 'next/dynamic'
import { useOfflineReason } from '../relay/connection.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { Button } from '../ui/button.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { clockTime } from '../ui/time.tsx'
import { exitLine, type SessionFace } from './session-state.ts'

const TerminalView = dynamic(() => import('../terminal/terminal-view.tsx').then((m) => m.TerminalView), {
  ssr: false,
  loading: () => <div className="flex-1 bg-term" />,
})

/** A session's terminal, with what its person should know above it and how it ended below it. */
export function SessionTerminal({ session, face }: { session: Session; face: SessionFace }) {
  const isOver = session.state === 'stopped' || session.state === 'failed'
  return (
    <>
      {session.notice !== undefined && !isOver && (
        <p className="flex min-h-8 flex-none items-center gap-2.5 border-b border-line-1 bg-surface-2 px-5 py-1.5 text-12 text-ink-2 max-md:px-4">
          <StateGlyph state="needs" className="[--cut:var(--bg-2)]" />
          {session.notice}
        </p>
      )}
      <TerminalView key={session.id} sessionId={session.id} isOver={isOver} lastLines={session.exit?.lastLines} />
      <SessionEnded session={session} face={face} />
    </>
  )
}

/** How a session ended, and what can be done with it; nothing while it has not. */
export function SessionEnded({ session, face }: { session: Session; face: SessionFace }) {
  const dialogs = useDialogs()
  const offline = useOfflineReason()
  if (session.state !== 'stopped' && session.state !== 'failed') return null
  return (
    <div
      role="status"
      className="flex flex-none flex-wrap items-center gap-x-3 gap-y-2 border-t border-line-2 bg-surface-2 px-5 py-2.5 [--cut:var(--bg-2)] max-md:px-4"
    >
      <StateGlyph state={face.glyph} label={face.word} />
      <p className="min-w-0 flex-1 basis-64">
        <b className="font-semibold">
          {session.state === 'failed' ? `Failed at its start. ${exitLine(session.exit)}` : exitLine(session.exit)}
        </b>
        {session.exit !== undefined && <span className="text-ink-3"> at {clockTime(session.exit.at)}</span>}
        <span className="text-ink-2">
          . Its worktree is kept; commits are on <span className="code-sm text-ink-1">{session.branch}</span>.
        </span>
      </p>
      <span className="flex gap-2 max-md:w-full max-md:[&>*]:flex-1">
        <Button
          size="sm"
          disabledReason={offline}
          onClick={() =>
            dialogs.open({
              kind: 'new-session',
              draft: {
                projectId: session.projectId,
                name: nextName(session.name),
                agent: session.agent,
                base: session.branch,
              },
            })
          }
        >
          <GitBranch className="icon-14" />
          Go on in a new session
        </Button>
        <Button
          size="sm"
          disabledReason={offline}
          onClick={() => dialogs.open({ kind: 'terminate', sessionId: session.id })}
        >
          Remove
        </Button>
      </span>
    </div>
  )
}

/** `login-form` becomes `login-form-2`, which becomes `login-form-3`. */
function nextName(name: string): string {
  const [, stem, count] = /^(.*?)-(\d+)$/.exec(name) ?? []
  return stem === undefined || count === undefined ? `${name.slice(0, 37)}-2` : `${stem}-${Number(count) + 1}`
}
