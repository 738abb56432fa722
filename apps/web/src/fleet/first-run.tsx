import type { Orchestrator } from '@ai-orchestration/protocol'
import type { ReactNode } from 'react'
import { gigabytes } from '../orchestrators/machine-facts.ts'
import { NewProjectForm } from '../project/new-project-form.tsx'
import { useConnection } from '../relay/connection.ts'
import { useOrchestrators } from '../relay/use-fleet.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { cx } from '../ui/cx.ts'
import { type GlyphState, StateGlyph } from '../ui/state-glyph.tsx'

/** What a new installation shows: what is ready, what is missing, and the first project. */
export function FirstRun() {
  const orchestrators = useOrchestrators()
  const online = orchestrators?.find((each) => each.state === 'online')
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto w-full max-w-[640px] px-5 pt-[min(84px,9dvh)] max-md:px-4 max-md:pt-5 pb-10">
        <h2 className="text-18 font-semibold">Create your first project</h2>
        <p className="mt-0.5 text-ink-2">
          A project is one git repository. Every session gets its own worktree and container.
        </p>
        <ol className="mt-5 overflow-hidden rounded-4 border border-line-2 bg-surface-2 [--cut:var(--bg-2)]">
          <RelayLine />
          <MachineLine orchestrator={online} known={orchestrators} />
          <AgentLine orchestrator={online} />
          <RepositoryLine isReady={online !== undefined} />
        </ol>
        <p className="mt-5 mb-1.5 text-12 text-ink-3">The same from a shell</p>
        <CopyLine text="npx aio projects create --repo https://github.com/you/repo.git" />
      </div>
    </div>
  )
}

function RelayLine() {
  const link = useConnection()
  if (link.kind !== 'connected') return <Line glyph="starting" text="Connecting to the relay" note="" />
  return (
    <Line
      glyph="done"
      text="Relay is running"
      note={link.latencyMs === undefined ? '' : `answers in ${link.latencyMs} ms`}
    />
  )
}

function MachineLine({
  orchestrator,
  known,
}: {
  orchestrator: Orchestrator | undefined
  known: Orchestrator[] | undefined
}) {
  if (orchestrator === undefined)
    return (
      <Line
        glyph={known === undefined ? 'starting' : 'needs'}
        text={
          known === undefined
            ? 'Looking for machines'
            : known.length === 0
              ? 'No machine is connected'
              : 'All machines are offline'
        }
        note={known === undefined ? '' : 'start one with npx aio orchestrator'}
      />
    )
  const { cores, memoryBytes, runc } = orchestrator.machine
  return (
    <Line
      glyph={orchestrator.warnings.length > 0 ? 'needs' : 'done'}
      text={
        <>
          Machine <b className="font-medium">{orchestrator.name}</b> is connected
        </>
      }
      note={[`${cores} cores`, gigabytes(memoryBytes), runc === undefined ? undefined : `runc ${runc}`]
        .filter((each) => each !== undefined)
        .join(', ')}
      below={orchestrator.warnings[0]}
    />
  )
}

function AgentLine({ orchestrator }: { orchestrator: Orchestrator | undefined }) {
  if (orchestrator === undefined) return <Line glyph="idle" text="An agent is ready" note="" isWaiting />
  const claude = orchestrator.agents.find((each) => each.id === 'claude')
  if (claude?.ready === true)
    return (
      <Line
        glyph="done"
        text={`${claude.name} is ready`}
        note={`key kept on ${orchestrator.name}, never in a container`}
      />
    )
  const ready = orchestrator.agents.find((each) => each.ready)
  return (
    <Line
      glyph={ready === undefined ? 'needs' : 'done'}
      text={ready === undefined ? 'No agent is ready' : `${ready.name} is ready`}
      note={ready === undefined ? 'npx aio doctor says why' : ''}
      below={claude?.reason === undefined ? undefined : `${claude.name}: ${claude.reason}`}
    />
  )
}

function RepositoryLine({ isReady }: { isReady: boolean }) {
  const dialogs = useDialogs()
  return (
    <li className="grid grid-cols-[16px_minmax(0,1fr)] gap-x-3 border-t border-line-1 bg-surface-3 px-3.5 pt-[13px] pb-3.5 [--cut:var(--bg-3)]">
      <span className="pt-0.5">
        <StateGlyph state="idle" />
      </span>
      <div className="min-w-0">
        <b className="font-semibold">Add a repository</b>
        <NewProjectForm
          isReady={isReady}
          onMore={(repoUrl) => dialogs.open({ kind: 'new-project', ...(repoUrl === undefined ? {} : { repoUrl }) })}
        />
      </div>
    </li>
  )
}

function Line(props: {
  glyph: GlyphState
  text: ReactNode
  note: string
  below?: string | undefined
  isWaiting?: boolean
}) {
  return (
    <li className="grid grid-cols-[16px_minmax(0,1fr)_auto] items-center gap-x-3 border-t border-line-1 px-3.5 py-[11px] first:border-t-0 max-md:grid-cols-[16px_minmax(0,1fr)]">
      <StateGlyph state={props.glyph} label={props.glyph === 'done' ? 'Done' : 'Not done'} />
      <span className={cx(props.isWaiting === true && 'text-ink-3')}>{props.text}</span>
      <span className="text-12/[20px] text-ink-3 max-md:col-start-2">{props.note}</span>
      {props.below !== undefined && (
        <span className="col-start-2 col-end-4 mt-1 text-12 break-words text-ink-2 max-md:col-end-3">
          {props.below}
        </span>
      )}
    </li>
  )
}
