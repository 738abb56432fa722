import type { Orchestrator, Project, Session } from '@ai-orchestration/protocol'
import { ChevronDown, ChevronRight, Plus } from 'lucide-react'
import Link from 'next/link'
import { useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { useRoleReason } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { Button } from '../ui/button.tsx'
import { clockTime } from '../ui/time.tsx'
import { SessionRow } from './session-row.tsx'

/** A project and its sessions; the group can be folded. */
export function SessionGroup(props: {
  project: Project
  orchestrator: Orchestrator | undefined
  sessions: Session[]
  isFiltered: boolean
}) {
  const { project, orchestrator, sessions } = props
  const [isOpen, setOpen] = useState(true)
  const faceOf = useFaces()
  const facts = [
    String(sessions.length),
    orchestrator === undefined
      ? undefined
      : orchestrator.state === 'online'
        ? orchestrator.name
        : `${orchestrator.name}, offline since ${clockTime(orchestrator.lastSeenAt).slice(0, 5)}`,
    project.defaultBranch,
    project.isConflicted === true ? 'name taken by another machine' : undefined,
  ].filter((each) => each !== undefined)
  return (
    <section aria-label={project.name}>
      <div className="flex h-8 items-center gap-2 border-y max-md:gap-0 max-md:[&>a]:mr-2 border-line-1 bg-surface-2 pr-3 pl-5 [--cut:var(--bg-2)] max-md:h-11 max-md:bg-surface-0 max-md:px-4">
        <button
          type="button"
          aria-expanded={isOpen}
          aria-label={isOpen ? `Fold ${project.name}` : `Unfold ${project.name}`}
          onClick={() => setOpen(!isOpen)}
          className="grid size-4 cursor-default place-items-center rounded-1 text-ink-3 hover:text-ink-1 max-md:size-11 max-md:-ml-3.5 max-md:-mr-[2px]"
        >
          {isOpen ? <ChevronDown className="icon-14" /> : <ChevronRight className="icon-14" />}
        </button>
        <Link
          href={`/projects/${project.id}`}
          prefetch={false}
          className="truncate font-semibold hover:underline max-md:py-3"
        >
          {project.title ?? project.name}
        </Link>
        <span className="truncate text-12 text-ink-3 max-md:hidden">{facts.join(' · ')}</span>
        <span className="text-12 text-ink-3 md:hidden">{sessions.length}</span>
        <span className="flex-1" />
        <NewInProject project={project} />
      </div>
      {isOpen &&
        sessions.map((session) => (
          <SessionRow
            key={session.id}
            session={session}
            face={faceOf(session)}
            agent={orchestrator?.agents.find((agent) => agent.id === session.agent)}
          />
        ))}
      {isOpen && sessions.length === 0 && (
        <p className="flex h-[34px] items-center border-b border-line-1 pl-12 text-12 text-ink-3 max-md:h-11 max-md:pl-4">
          {props.isFiltered ? 'None in this state' : 'No sessions yet. Press N or + to start one.'}
        </p>
      )}
    </section>
  )
}

function NewInProject({ project }: { project: Project }) {
  const dialogs = useDialogs()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  return (
    <Button
      kind="ghost"
      size="sm"
      aria-label={`New session in ${project.name}`}
      title={`New session in ${project.name}`}
      disabledReason={offline ?? role}
      onClick={() => dialogs.open({ kind: 'new-session', projectId: project.id })}
      className="w-6 !border-transparent !px-0 max-md:w-11"
    >
      <Plus className="icon-14" />
    </Button>
  )
}
