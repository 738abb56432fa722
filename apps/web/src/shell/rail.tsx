import { Inbox, Search, Server, SlidersHorizontal } from 'lucide-react'
import Link from 'next/link'
import { Fragment, type ReactNode } from 'react'
import { useInboxCount } from '../inbox/inbox-items.ts'
import { useProjects, useSessions } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { cx } from '../ui/cx.ts'
import { Logo } from '../ui/logo.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { ConnectionDot } from './connection-line.tsx'
import { useDialogs } from './dialogs.tsx'
import { Pip } from './pip.tsx'

const ITEM =
  'grid h-8 w-9 flex-none cursor-default place-items-center rounded-3 text-ink-3 transition-colors duration-[var(--d-fast)] hover:bg-surface-2 hover:[--cut:var(--bg-2)] focus-visible:shadow-focus-inset'

/** The narrow navigation inside a session: the places, and every session as its state. */
export function Rail({ sessionId }: { sessionId: string | undefined }) {
  const dialogs = useDialogs()
  const projects = useProjects()
  const sessions = useSessions()
  const faceOf = useFaces()
  const needs = useInboxCount()
  const groups = projects
    ?.map((project) => ({ project, members: sessions?.filter((each) => each.projectId === project.id) ?? [] }))
    .filter((group) => group.members.length > 0)
  return (
    <nav
      aria-label="Main"
      className="flex w-[52px] flex-none flex-col items-center gap-0.5 bg-surface-0 pb-2.5 [--cut:var(--bg-0)] max-md:hidden"
    >
      <Link
        href="/"
        prefetch={false}
        aria-label="AI Orchestration, to the fleet"
        className="grid h-12 flex-none place-items-center"
      >
        <Logo />
      </Link>
      <button
        type="button"
        aria-label="Search or run"
        title="Search or run (⌘K)"
        className={ITEM}
        onClick={() => dialogs.open({ kind: 'palette' })}
      >
        <Search />
      </button>
      <RailLink href="/" label={needs === 0 ? 'Inbox and fleet (g i)' : `Inbox and fleet, ${needs} need you (g i)`}>
        <Inbox />
        <Pip count={needs} className="top-0 right-0.5" />
      </RailLink>
      <RailLink href="/orchestrators" label="Orchestrators (g o)">
        <Server />
      </RailLink>
      <div className="flex min-h-0 w-full flex-1 flex-col items-center gap-0.5 overflow-y-auto [scrollbar-width:none]">
        {groups?.map(({ project, members }) => (
          <Fragment key={project.id}>
            <span className="my-[5px] h-px w-5 flex-none bg-line-2" />
            {members.map((session) => {
              const face = faceOf(session)
              const label = `${session.title ?? session.name}, ${project.name}: ${face.word}`
              return (
                <Link
                  key={session.id}
                  href={`/sessions/${session.id}`}
                  prefetch={false}
                  title={label}
                  aria-label={label}
                  aria-current={session.id === sessionId ? 'page' : undefined}
                  className={cx(ITEM, session.id === sessionId && 'bg-surface-4 text-ink-1 [--cut:var(--bg-4)]')}
                >
                  <StateGlyph state={face.glyph} />
                </Link>
              )
            })}
          </Fragment>
        ))}
      </div>
      <RailLink href="/settings" label="Settings (g s)">
        <SlidersHorizontal />
      </RailLink>
      <ConnectionDot className="h-8 w-9 flex-none" />
    </nav>
  )
}

function RailLink({ href, label, children }: { href: string; label: string; children: ReactNode }) {
  return (
    <Link href={href} prefetch={false} title={label} aria-label={label} className={cx(ITEM, 'relative')}>
      {children}
    </Link>
  )
}
