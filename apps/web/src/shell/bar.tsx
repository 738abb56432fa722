import { Plus, Search } from 'lucide-react'
import type { ReactNode } from 'react'
import { useInboxCount } from '../inbox/inbox-items.ts'
import { useOfflineReason } from '../relay/connection.ts'
import { useProjects, useRoleReason } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { ConnectionDot } from './connection-line.tsx'
import { useDialogs } from './dialogs.tsx'
import { PageTitle } from './page-title.tsx'

/** The bar at the top of a place: its title, what belongs to it, and New session. */
export function Bar({ title, children, projectId }: { title: string; children?: ReactNode; projectId?: string }) {
  const dialogs = useDialogs()
  const needs = useInboxCount()
  return (
    <header className="flex h-12 flex-none items-center gap-2 border-b border-line-1 px-5 max-md:h-[52px] max-md:pr-2 max-md:pl-4">
      <PageTitle title={title} needs={needs} />
      <h1 className="min-w-0 truncate text-14 font-semibold max-md:text-20">{title}</h1>
      <span className="flex-1" />
      {children !== undefined && (
        <>
          {children}
          <span className="mx-1 h-[18px] w-px flex-none bg-line-2 max-md:hidden" />
        </>
      )}
      <ConnectionDot className="size-11 flex-none md:hidden" />
      <Button
        kind="ghost"
        aria-label="Search or run"
        onClick={() => dialogs.open({ kind: 'palette' })}
        className="w-11 !px-0 md:hidden"
      >
        <Search className="icon-20" />
      </Button>
      <NewSessionButton projectId={projectId} />
    </header>
  )
}

function NewSessionButton({ projectId }: { projectId: string | undefined }) {
  const dialogs = useDialogs()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const hasProject = (useProjects()?.length ?? 0) > 0
  const open = () => dialogs.open({ kind: 'new-session', ...(projectId === undefined ? {} : { projectId }) })
  const reason = offline ?? role
  return (
    <>
      <Button onClick={open} disabledReason={reason} className="max-md:hidden">
        <Plus className="icon-14" />
        New session
        <Kbd>N</Kbd>
      </Button>
      {hasProject && (
        <Button
          kind="ghost"
          onClick={open}
          disabledReason={reason}
          aria-label="New session"
          className="w-11 !px-0 md:hidden"
        >
          <Plus className="icon-20" />
        </Button>
      )}
    </>
  )
}
