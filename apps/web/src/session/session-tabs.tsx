import type { Orchestrator, Session } from '@ai-orchestration/protocol'
import { Clock, Columns2, GitBranch, Server, Square } from 'lucide-react'
import type { KeyboardEvent } from 'react'
import { cx } from '../ui/cx.ts'
import { Age } from '../ui/time.tsx'
import { type SessionViews, VIEWS, type View } from './session-views.ts'

/** The views of a session as tabs, with what the session is at their right. Two can be on at once. */
export function SessionTabs(props: {
  views: SessionViews
  session: Session | undefined
  orchestrator: Orchestrator | undefined
}) {
  const { views, session, orchestrator } = props
  return (
    <div className="flex h-[38px] flex-none items-stretch border-b border-line-1 pr-5 pl-3 max-md:hidden">
      <div role="tablist" aria-label="Session" aria-multiselectable={views.isSplit} className="flex">
        {views.offered.map((view) => (
          <Tab key={view} view={view} views={views} />
        ))}
      </div>
      <div className="ml-auto flex min-w-0 items-center gap-4 text-12 whitespace-nowrap text-ink-2 [&_.lucide]:text-ink-3">
        {session !== undefined && (
          <>
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
          </>
        )}
        <LayoutSwitch views={views} />
      </div>
    </div>
  )
}

function Tab({ view, views }: { view: View; views: SessionViews }) {
  const { label, icon: Icon } = VIEWS[view]
  const isOn = views.shown.includes(view)
  const onKey = (event: KeyboardEvent<HTMLButtonElement>) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
    const { offered } = views
    const step = event.key === 'ArrowRight' ? 1 : offered.length - 1
    const next = offered[(offered.indexOf(view) + step) % offered.length]
    if (next === undefined) return
    views.choose(next)
    event.currentTarget.parentElement?.querySelector<HTMLElement>(`[data-view="${next}"]`)?.focus()
  }
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${view}`}
      aria-selected={isOn}
      aria-controls={isOn ? `pane-${view}` : undefined}
      tabIndex={isOn ? 0 : -1}
      data-view={view}
      onKeyDown={onKey}
      onClick={() => views.choose(view)}
      className={cx(
        'relative flex cursor-default items-center gap-[7px] px-2.5 font-medium focus-visible:shadow-focus-inset',
        isOn
          ? 'text-ink-1 after:absolute after:inset-x-2.5 after:-bottom-px after:h-0.5 after:rounded-full after:bg-ink-1'
          : 'text-ink-2 hover:text-ink-1 [&_.lucide]:text-ink-3',
      )}
    >
      <Icon />
      {label}
    </button>
  )
}

function LayoutSwitch({ views: { isSplit, setSplit } }: { views: SessionViews }) {
  if (setSplit === undefined) return null
  return (
    <fieldset aria-label="Layout" className="flex flex-none gap-px rounded-3 border border-line-2 bg-surface-2 p-px">
      {[
        { label: 'One view', icon: Square, isOn: !isSplit },
        { label: 'Two views side by side', icon: Columns2, isOn: isSplit },
      ].map(({ label, icon: Icon, isOn }) => (
        <button
          key={label}
          type="button"
          aria-label={label}
          title={label}
          aria-pressed={isOn}
          onClick={() => setSplit(label !== 'One view')}
          className={cx(
            'grid h-[22px] w-6 cursor-default place-items-center rounded-[4px]',
            isOn ? 'bg-surface-4 [&_.lucide]:text-ink-1' : 'hover:bg-surface-3',
          )}
        >
          <Icon className="icon-14" />
        </button>
      ))}
    </fieldset>
  )
}
