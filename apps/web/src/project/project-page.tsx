import { GitFork, ListChecks, Server, Trash2 } from 'lucide-react'
import { SessionRow } from '../fleet/session-row.tsx'
import { useOfflineReason } from '../relay/connection.ts'
import { useOrchestrators, useProjects, useRoleReason, useSessions } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { Banner } from '../shell/banner.tsx'
import { Bar } from '../shell/bar.tsx'
import { useDialogs } from '../shell/dialogs.tsx'
import { NotFound } from '../shell/not-found.tsx'
import { useRouteId } from '../shell/route-id.ts'
import { Button } from '../ui/button.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { RowSkeleton } from '../ui/skeleton.tsx'
import { Age } from '../ui/time.tsx'

/** One project: its repository, its machine, its sessions. */
export function ProjectPage() {
  const id = useRouteId()
  const projects = useProjects()
  const sessions = useSessions()?.filter((each) => each.projectId === id)
  const orchestrators = useOrchestrators()
  const faceOf = useFaces()
  const dialogs = useDialogs()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  if (id === undefined || projects === undefined)
    return (
      <>
        <Bar title="Project" />
        <Banner />
        <RowSkeleton />
      </>
    )
  const project = projects.find((each) => each.id === id)
  if (project === undefined)
    return <NotFound title="No such project" text={`There is no project ${id}. It may have been deleted.`} />
  const orchestrator = orchestrators?.find((each) => each.id === project.orchestratorId)
  return (
    <>
      <Bar title={project.title ?? project.name} projectId={project.id} />
      <Banner />
      <div className="flex min-h-[38px] flex-none flex-wrap items-center gap-x-4 gap-y-1 border-b border-line-1 px-5 py-1.5 text-12 text-ink-2 max-md:px-4 [&_.lucide]:text-ink-3">
        <span className="flex min-w-0 items-center gap-1.5">
          <GitFork className="icon-14" />
          <span className="code-sm truncate" title={project.repoUrl}>
            {project.repoUrl ?? 'started empty'}
          </span>
        </span>
        <span>
          Base <span className="code-sm">{project.defaultBranch}</span>
        </span>
        <span className="flex items-center gap-1.5">
          <Server className="icon-14" />
          {orchestrator?.name ?? 'unknown machine'}
          {orchestrator?.state === 'offline' && ', offline'}
        </span>
        {project.agent !== undefined && <span>Agent {project.agent}</span>}
        <span className="text-ink-3">
          made <Age at={project.createdAt} isLong /> ago
        </span>
        <span className="flex-1" />
        <Button kind="ghost" size="sm" onClick={() => dialogs.open({ kind: 'rules', projectId: project.id })}>
          <ListChecks className="icon-14" />
          Standing answers
        </Button>
        <Button
          kind="ghost"
          size="sm"
          disabledReason={offline ?? role}
          onClick={() => dialogs.open({ kind: 'delete-project', projectId: project.id })}
        >
          <Trash2 className="icon-14" />
          Delete
        </Button>
      </div>
      {project.isConflicted === true && (
        <p role="alert" className="border-b border-needs-line bg-needs-soft px-5 py-2">
          Another machine had a project of this name first. Rename this one on {orchestrator?.name ?? 'its machine'} to
          use it.
        </p>
      )}
      {sessions === undefined ? (
        <RowSkeleton />
      ) : sessions.length > 0 ? (
        <>
          <div className="fleet-grid h-9 flex-none border-b border-line-1 text-11 text-ink-3 max-md:hidden">
            <span />
            <span>Session</span>
            <span>Agent</span>
            <span className="max-lg:hidden">Branch</span>
            <span>Doing</span>
            <span className="text-right">Age</span>
          </div>
          <div className="min-h-0 flex-1 overflow-y-auto">
            {sessions.map((session) => (
              <SessionRow
                key={session.id}
                session={session}
                face={faceOf(session)}
                agent={orchestrator?.agents.find((each) => each.id === session.agent)}
              />
            ))}
          </div>
        </>
      ) : (
        <div className="min-h-0 flex-1 overflow-y-auto">
          <div className="mx-auto w-full max-w-[600px] px-5 pt-[min(84px,9dvh)]">
            <h2 className="text-18 font-semibold">Start the first session</h2>
            <p className="mt-0.5 mb-5 text-ink-2">
              An agent gets its own branch and worktree of {project.name}, in its own container, and a terminal that you
              can watch from anywhere.
            </p>
            <Button
              kind="primary"
              size="lg"
              disabledReason={offline ?? role}
              onClick={() => dialogs.open({ kind: 'new-session', projectId: project.id })}
            >
              New session
              <Kbd isOnAccent>N</Kbd>
            </Button>
            <p className="mt-6 mb-1.5 text-12 text-ink-3">The same from a shell</p>
            <CopyLine text={`npx aio sessions create ${project.name} first-session`} />
          </div>
        </div>
      )}
    </>
  )
}
