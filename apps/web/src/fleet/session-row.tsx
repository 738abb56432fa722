import type { AgentInfo, Session } from '@ai-orchestration/protocol'
import Link from 'next/link'
import { useConnection } from '../relay/connection.ts'
import type { SessionFace } from '../session/session-state.ts'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'

/** One session: a line on a laptop, two lines on a phone. */
export function SessionRow({
  session,
  face,
  agent,
}: {
  session: Session
  face: SessionFace
  agent: AgentInfo | undefined
}) {
  const isStale = useConnection().kind === 'reconnecting' || face.isStale
  const name = session.title ?? session.name
  const agentName = shortAgent(agent?.name ?? session.agent)
  return (
    <Link
      href={`/sessions/${session.id}`}
      prefetch={false}
      data-row={session.id}
      className="group block border-b border-line-1 outline-none last:border-b-0 hover:bg-surface-2 hover:[--cut:var(--bg-2)] focus-visible:bg-surface-3 focus-visible:shadow-[inset_2px_0_0_var(--accent)] focus-visible:[--cut:var(--bg-3)]"
    >
      <span className="fleet-grid h-[34px] max-md:hidden">
        <StateGlyph state={face.glyph} label={face.word} className={isStale ? 'opacity-60' : ''} />
        <span className={cx('truncate font-medium', isStale && 'text-ink-2')} title={session.id}>
          {name}
        </span>
        <span className={cx('truncate text-12', isStale ? 'text-ink-3' : 'text-ink-2')} title={session.agent}>
          {agentName}
        </span>
        <span className="code-sm truncate text-ink-3 max-lg:hidden" title={session.branch}>
          {session.branch.replace(/^feature\//, '')}
        </span>
        <span className={cx('truncate text-12', isStale ? 'text-ink-3' : 'text-ink-2')} title={face.doing}>
          {face.doing}
        </span>
        <Age at={session.createdAt} className="text-right text-12 text-ink-3" />
      </span>
      <span className="grid min-h-[58px] grid-cols-[16px_minmax(0,1fr)_auto] items-start gap-x-3 px-4 pt-[9px] pb-2.5 md:hidden">
        <StateGlyph state={face.glyph} label={face.word} className={cx('mt-[3px]', isStale && 'opacity-60')} />
        <span className="min-w-0">
          <span className={cx('block truncate text-15/[22px] font-medium', isStale && 'text-ink-2')}>{name}</span>
          <span className="block truncate text-13/[18px] text-ink-2">{face.doing}</span>
        </span>
        <span className="text-right text-12/[22px] text-ink-3">
          <Age at={session.createdAt} />
          <span className="block text-12/[18px]">{agentName}</span>
        </span>
      </span>
    </Link>
  )
}

/** An agent's name where space is short: Claude for Claude Code. */
function shortAgent(name: string): string {
  const first = name.split(' ')[0] ?? name
  return first.charAt(0).toUpperCase() + first.slice(1)
}
