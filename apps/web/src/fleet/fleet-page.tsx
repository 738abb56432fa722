import type { Project, Session } from '@ai-orchestration/protocol'
import { useEffect, useState } from 'react'
import { Inbox } from '../inbox/inbox.tsx'
import { OrchestratorChip } from '../orchestrators/orchestrator-chip.tsx'
import { useOrchestrators, useProjects, useSessions } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { Banner } from '../shell/banner.tsx'
import { Bar } from '../shell/bar.tsx'
import { Segments } from '../ui/segments.tsx'
import { RowSkeleton } from '../ui/skeleton.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { FirstRun } from './first-run.tsx'
import { SessionGroup } from './session-group.tsx'

type Filter = 'all' | 'working' | 'needs' | 'ended'

/** The first page: the machines, what needs a person, and every session by project. */
export function FleetPage() {
  const orchestrators = useOrchestrators()
  const projects = useProjects()
  const sessions = useSessions()
  const hadProjects = useHadProjects(projects)
  const isEmpty = projects?.length === 0
  const isWaiting = isEmpty && hadProjects && orchestrators?.some((each) => each.state === 'online') !== true
  return (
    <>
      <Bar title={isEmpty && !isWaiting ? 'Get started' : 'Inbox and fleet'}>
        <span className="flex min-w-0 items-center gap-2 overflow-hidden max-md:hidden">
          {orchestrators?.map((orchestrator) => (
            <OrchestratorChip
              key={orchestrator.id}
              orchestrator={orchestrator}
              sessions={
                sessions?.filter((each) => each.orchestratorId === orchestrator.id && isRunning(each)).length ?? 0
              }
            />
          ))}
        </span>
      </Bar>
      <Banner />
      {isWaiting ? <WaitingForMachines /> : isEmpty ? <FirstRun /> : <InboxAndSessions />}
    </>
  )
}

/** On a laptop the inbox stands above the rows; on a phone both scroll as one. */
function InboxAndSessions() {
  return (
    <div className="flex min-h-0 flex-1 flex-col max-md:block max-md:overflow-y-auto">
      <Inbox />
      <Sessions />
    </div>
  )
}

function Sessions() {
  const orchestrators = useOrchestrators()
  const projects = useProjects()
  const sessions = useSessions()
  const [filter, setFilter] = useState<Filter>('all')
  const faceOf = useFaces()
  if (projects === undefined || sessions === undefined) return <RowSkeleton />
  const isOf = (session: Session, wanted: Filter) => {
    if (wanted === 'all') return true
    if (wanted === 'ended') return !isRunning(session)
    const { glyph } = faceOf(session)
    return wanted === 'needs' ? glyph === 'needs' || glyph === 'failed' : glyph === 'working' || glyph === 'starting'
  }
  const count = (wanted: Filter) => sessions.filter((each) => isOf(each, wanted)).length
  const shown = sessions.filter((each) => isOf(each, filter))
  return (
    <>
      <div className="fleet-grid h-[42px] flex-none text-11 text-ink-3 max-md:flex max-md:h-14 max-md:overflow-x-auto max-md:px-4">
        <div className="col-span-5 flex items-center gap-2 max-lg:col-span-4">
          <h2 className="text-13 font-semibold text-ink-1 max-md:sr-only">Sessions</h2>
          <span className="text-13 max-md:hidden">{sessions.length}</span>
          <span className="md:ml-2">
            <Segments<Filter>
              label="Which sessions are shown"
              value={filter}
              onChange={setFilter}
              options={[
                { id: 'all', label: 'All', count: sessions.length },
                { id: 'working', label: 'Working', count: count('working') },
                { id: 'needs', label: 'Needs you', count: count('needs') },
                { id: 'ended', label: 'Ended', count: count('ended') },
              ]}
            />
          </span>
        </div>
        <span className="text-right max-md:hidden">Age</span>
      </div>
      <div className="min-h-0 flex-1 md:overflow-y-auto">
        {projects
          .map((project) => ({ project, members: shown.filter((each) => each.projectId === project.id) }))
          .filter(({ members }) => filter === 'all' || members.length > 0)
          .map(({ project, members }) => (
            <SessionGroup
              key={project.id}
              project={project}
              orchestrator={orchestrators?.find((each) => each.id === project.orchestratorId)}
              sessions={members}
              isFiltered={filter !== 'all'}
            />
          ))}
        {filter !== 'all' && shown.length === 0 && <p className="p-5 text-center text-ink-3">{EMPTY[filter]}</p>}
      </div>
    </>
  )
}

const EMPTY: Record<Exclude<Filter, 'all'>, string> = {
  working: 'Nothing is working.',
  needs: 'Nothing needs you.',
  ended: 'Nothing has ended yet.',
}

/** A relay that was restarted knows no project until its machines are back, which is not an empty installation. */
function WaitingForMachines() {
  return (
    <div role="status" className="grid flex-1 place-content-center justify-items-center gap-1 p-5 text-center">
      <StateGlyph state="starting" />
      <p className="mt-1 font-medium text-ink-2">Waiting for the machines to come back</p>
      <p className="text-12 text-ink-3">
        Sessions keep running on them. Each appears here when its machine has connected.
      </p>
    </div>
  )
}

/** True once this page has shown a project. */
function useHadProjects(projects: Project[] | undefined): boolean {
  const [had, setHad] = useState(false)
  const has = (projects?.length ?? 0) > 0
  useEffect(() => {
    if (has) setHad(true)
  }, [has])
  return had
}

function isRunning(session: Session): boolean {
  return session.state === 'running' || session.state === 'starting'
}
