import { CircleHelp, Folder, Plus, Search } from 'lucide-react'
import Link from 'next/link'
import { useRouter } from 'next/router'
import type { ComponentType, ReactNode } from 'react'
import { useInboxCount } from '../inbox/inbox-items.ts'
import { useOrchestrators, useProjects, useSessions } from '../relay/use-fleet.ts'
import { IconButton } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { Kbd } from '../ui/kbd.tsx'
import { Logo } from '../ui/logo.tsx'
import { ConnectionLine } from './connection-line.tsx'
import { useDialogs } from './dialogs.tsx'
import { PLACES } from './places.ts'

/** The navigation at the left of a laptop's screen: places, projects, the connection. */
export function SideNav() {
  const router = useRouter()
  const dialogs = useDialogs()
  const orchestrators = useOrchestrators()
  const projects = useProjects()
  const sessions = useSessions()
  const needs = useInboxCount()
  return (
    <nav
      aria-label="Main"
      className="flex w-52 flex-none flex-col overflow-hidden bg-surface-0 px-2 pb-2 [--cut:var(--bg-0)] max-md:hidden"
    >
      <Link href="/" prefetch={false} className="flex h-12 flex-none items-center gap-[9px] px-2 font-semibold">
        <Logo />
        AI Orchestration
      </Link>
      <button
        type="button"
        onClick={() => dialogs.open({ kind: 'palette' })}
        className="mb-2.5 flex h-[30px] flex-none cursor-default items-center gap-2 rounded-3 border border-line-2 bg-surface-1 pr-1.5 pl-2 text-ink-3 transition-colors duration-[var(--d-fast)] hover:border-line-3"
      >
        <Search className="icon-14" />
        <span className="flex-1 text-left">Search or run</span>
        <Kbd isBare>⌘K</Kbd>
      </button>
      {PLACES.map((place) => (
        <NavItem
          key={place.href}
          href={place.href}
          icon={place.icon}
          isOn={router.pathname === place.href}
          count={place.href === '/orchestrators' ? orchestrators?.length : undefined}
          needs={place.href === '/' ? needs : 0}
        >
          {place.label}
        </NavItem>
      ))}
      <div className="mt-3 flex h-7 flex-none items-center justify-between pl-2 text-12 font-medium text-ink-3">
        Projects
        <IconButton label="New project" size="sm" onClick={() => dialogs.open({ kind: 'new-project' })}>
          <Plus className="icon-14" />
        </IconButton>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto">
        {projects?.map((project) => (
          <NavItem
            key={project.id}
            href={`/projects/${project.id}`}
            icon={Folder}
            isOn={router.pathname === '/projects/[id]' && router.query['id'] === project.id}
            count={sessions?.filter((session) => session.projectId === project.id).length}
          >
            {project.title ?? project.name}
          </NavItem>
        ))}
        {projects?.length === 0 && <p className="px-2 py-0.5 text-12 text-ink-3">None yet</p>}
      </div>
      <div className="-mx-2 flex flex-none flex-col gap-px border-t border-line-1 px-2 pt-2">
        <ConnectionLine />
        <button
          type="button"
          onClick={() => dialogs.open({ kind: 'shortcuts' })}
          className="flex h-[30px] cursor-default items-center gap-[9px] rounded-3 pr-1.5 pl-2 font-medium text-ink-2 hover:bg-surface-2"
        >
          <CircleHelp className="text-ink-3" />
          <span className="flex-1 text-left">Shortcuts</span>
          <Kbd isBare>?</Kbd>
        </button>
      </div>
    </nav>
  )
}

function NavItem(props: {
  href: string
  icon: ComponentType<{ className?: string }>
  isOn: boolean
  count: number | undefined
  /** How many things wait for a person there. */
  needs?: number
  children: ReactNode
}) {
  const Icon = props.icon
  return (
    <Link
      href={props.href}
      prefetch={false}
      aria-current={props.isOn ? 'page' : undefined}
      className={cx(
        'flex h-[30px] flex-none items-center gap-[9px] rounded-3 pr-1.5 pl-2 font-medium transition-colors duration-[var(--d-fast)] focus-visible:shadow-focus-inset',
        props.isOn ? 'bg-surface-3 text-ink-1' : 'text-ink-2 hover:bg-surface-2',
      )}
    >
      <Icon className={props.isOn ? 'text-ink-1' : 'text-ink-3'} />
      <span className="min-w-0 flex-1 truncate">{props.children}</span>
      {props.needs !== undefined && props.needs > 0 && (
        <span className="h-[18px] min-w-[18px] rounded-full bg-needs-soft px-1.5 text-center text-11/[18px] font-semibold text-needs">
          {props.needs}
          <span className="sr-only"> need you</span>
        </span>
      )}
      {props.count !== undefined && props.count > 0 && (
        <span className="pr-1 text-12 font-normal text-ink-3">{props.count}</span>
      )}
    </Link>
  )
}
