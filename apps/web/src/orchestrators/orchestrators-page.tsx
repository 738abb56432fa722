import type { AgentInfo, Orchestrator } from '@ai-orchestration/protocol'
import type { ReactNode } from 'react'
import { useOrchestrators, useProjects, useSessions } from '../relay/use-fleet.ts'
import { Banner } from '../shell/banner.tsx'
import { Bar } from '../shell/bar.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { Dot } from '../ui/dot.tsx'
import { RowSkeleton } from '../ui/skeleton.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'
import { gigabytes } from './machine-facts.ts'

/** The machines: what they are, which agents they offer, and what their admin should know. */
export function OrchestratorsPage() {
  const orchestrators = useOrchestrators()
  return (
    <>
      <Bar title="Orchestrators" />
      <Banner />
      <div className="min-h-0 flex-1 overflow-y-auto">
        {orchestrators === undefined ? (
          <RowSkeleton rows={3} />
        ) : (
          <div className="mx-auto flex w-full max-w-[880px] flex-col gap-4 px-5 py-5 max-md:px-3 max-md:py-3">
            {orchestrators.map((each) => (
              <Machine key={each.id} orchestrator={each} />
            ))}
            {orchestrators.length === 0 && <p className="text-ink-2">No machine has connected yet.</p>}
            <section className="mt-2">
              <h2 className="mb-1.5 text-12 text-ink-3">
                Add a machine: run this on it, with a token of the role orchestrator
              </h2>
              <CopyLine text="AUTH_TOKEN=… npx aio orchestrator --relay wss://this-relay/ws" />
            </section>
          </div>
        )}
      </div>
    </>
  )
}

function Machine({ orchestrator }: { orchestrator: Orchestrator }) {
  const sessions = useSessions()?.filter((each) => each.orchestratorId === orchestrator.id)
  const projects = useProjects()?.filter((each) => each.orchestratorId === orchestrator.id)
  const running = sessions?.filter((each) => each.state === 'running' || each.state === 'starting').length ?? 0
  const isOnline = orchestrator.state === 'online'
  const { machine } = orchestrator
  return (
    <section
      id={orchestrator.id}
      aria-label={orchestrator.name}
      className="overflow-hidden rounded-4 border border-line-2 bg-surface-2 [--cut:var(--bg-2)]"
    >
      <header className="flex flex-wrap items-center gap-x-2.5 gap-y-1 border-b border-line-1 px-4 py-2.5">
        <Dot state={isOnline ? 'on' : 'off'} />
        <h2 className="text-14 font-semibold">{orchestrator.name}</h2>
        <span className="text-12 text-ink-3">
          {isOnline ? (
            orchestrator.connectedAt === undefined ? (
              'connected'
            ) : (
              <>
                connected for <Age at={orchestrator.connectedAt} isLong />
              </>
            )
          ) : (
            <>
              offline, last seen <Age at={orchestrator.lastSeenAt} isLong /> ago
            </>
          )}
        </span>
        <span className="flex-1" />
        <span className="code-sm text-ink-3">{orchestrator.version}</span>
      </header>
      <dl className="grid grid-cols-4 gap-x-4 gap-y-3 border-b border-line-1 px-4 py-3 max-md:grid-cols-2">
        <Fact name="Machine" value={`${machine.cores} cores, ${gigabytes(machine.memoryBytes)}`} />
        <Fact
          name="Load"
          value={`${running} running, ${projects?.length ?? 0} ${projects?.length === 1 ? 'project' : 'projects'}`}
        />
        <Fact
          name="Runtime"
          value={machine.runc === undefined ? 'no runc found' : `runc ${machine.runc}`}
          title={`Linux ${machine.kernel}`}
        />
        <Fact
          name="Isolation"
          value={orchestrator.isolation === 'full' ? 'Full' : <span className="text-needs">Degraded by its admin</span>}
        />
      </dl>
      {orchestrator.warnings.length > 0 && (
        <ul aria-label="Warnings" className="border-b border-line-1">
          {orchestrator.warnings.map((warning) => (
            <li key={warning} className="flex items-start gap-3 border-b border-line-1 px-4 py-2.5 last:border-b-0">
              <StateGlyph state="needs" label="Warning" className="mt-0.5" />
              <span className="min-w-0 break-words text-ink-2">{warning}</span>
            </li>
          ))}
        </ul>
      )}
      <ul aria-label="Agents">
        {orchestrator.agents.map((agent) => (
          <Agent key={agent.id} agent={agent} />
        ))}
      </ul>
    </section>
  )
}

function Agent({ agent }: { agent: AgentInfo }) {
  return (
    <li className="grid grid-cols-[16px_minmax(0,180px)_minmax(0,1fr)] items-start gap-x-3 border-b border-line-1 px-4 py-2 last:border-b-0 max-md:grid-cols-[16px_minmax(0,1fr)]">
      <StateGlyph
        state={agent.ready ? 'done' : 'idle'}
        label={agent.ready ? 'Ready' : 'Not ready'}
        className="mt-0.5"
      />
      <span className="truncate">
        <span className="font-medium">{agent.name}</span>
        {agent.version !== undefined && <span className="code-sm ml-2 text-ink-3">{agent.version}</span>}
      </span>
      <span className="min-w-0 text-12/[20px] break-words text-ink-2 max-md:col-start-2">
        {agent.ready ? (
          <span className="text-ink-3">ready</span>
        ) : (
          (agent.reason ?? (agent.installed ? 'Not ready' : 'Not installed'))
        )}
      </span>
    </li>
  )
}

function Fact({ name, value, title }: { name: string; value: ReactNode; title?: string }) {
  return (
    <div title={title}>
      <dt className="text-11 text-ink-3">{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}
