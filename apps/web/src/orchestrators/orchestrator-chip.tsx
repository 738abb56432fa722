import type { Orchestrator } from '@ai-orchestration/protocol'
import Link from 'next/link'
import { useConnection } from '../relay/connection.ts'
import { cx } from '../ui/cx.ts'
import { Dot } from '../ui/dot.tsx'
import { clockTime, longSpan, useNow } from '../ui/time.tsx'

/** A machine with its real connection state, in the bar. */
export function OrchestratorChip({ orchestrator, sessions }: { orchestrator: Orchestrator; sessions: number }) {
  const now = useNow()
  const link = useConnection()
  const isStale = link.kind === 'reconnecting'
  const isOnline = orchestrator.state === 'online' && !isStale
  const hasWarning = isOnline && (orchestrator.warnings.length > 0 || orchestrator.isolation === 'degraded')
  const note = isStale
    ? `as of ${clockTime(link.since).slice(0, 5)}`
    : isOnline
      ? `${sessions} running, ${orchestrator.machine.cores} cores`
      : `offline ${longSpan(now - Date.parse(orchestrator.lastSeenAt))}`
  return (
    <Link
      href={`/orchestrators#${orchestrator.id}`}
      prefetch={false}
      title={hasWarning ? orchestrator.warnings.join('\n') || 'Isolation is degraded' : undefined}
      className={cx(
        'inline-flex h-6 flex-none items-center gap-1.5 rounded-2 border border-line-2 px-2 text-12 whitespace-nowrap text-ink-2 transition-colors duration-[var(--d-fast)] hover:bg-surface-2',
        !isOnline && 'border-dashed',
      )}
    >
      <Dot state={isOnline ? 'on' : 'off'} className={hasWarning ? '!bg-needs-fill' : ''} />
      <b className={cx('font-medium', isOnline ? 'text-ink-1' : 'text-ink-3')}>{orchestrator.name}</b>
      <span suppressHydrationWarning>{note}</span>
    </Link>
  )
}
