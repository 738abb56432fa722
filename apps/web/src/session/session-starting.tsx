import { GitBranch, RotateCcw } from 'lucide-react'
import { useOfflineReason } from '../relay/connection.ts'
import type { CommandView } from '../relay/fleet-state.ts'
import { useCommand, useSessionCommand } from '../relay/use-fleet.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { Button } from '../ui/button.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { clockTime } from '../ui/time.tsx'
import { type StartedHere, useStartSession } from './started-here.ts'
import { StepList } from './step-list.tsx'

/** The page of a session that is being created: its prompt, and every step as it happens. */
export function SessionStarting({ sessionId, started }: { sessionId: string; started: StartedHere | undefined }) {
  const mine = useCommand(started?.commandId)
  const seen = useSessionCommand(sessionId, 'create_session')
  const command = mine ?? seen
  const error = started?.error
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="flex max-w-[620px] flex-col gap-4 px-5 py-4 max-md:px-4">
        {started?.input.prompt !== undefined && (
          <div className="rounded-4 bg-surface-3 px-3.5 py-2.5">
            <p className="flex items-baseline gap-2 text-12 text-ink-3">
              <b className="font-semibold text-ink-2">You</b>
              {clockTime(started.at).slice(0, 5)}, sent when the agent is ready
            </p>
            <p className="mt-0.5 max-h-48 overflow-y-auto text-15 break-words whitespace-pre-wrap">
              {started.input.prompt}
            </p>
          </div>
        )}
        {(error === undefined || (command?.steps.length ?? 0) > 0) && (
          <div className="px-3.5">
            <StepList steps={stepsOf(command)} />
          </div>
        )}
        {error !== undefined && <Failure started={started} error={error} />}
      </div>
    </div>
  )
}

function Failure({ started, error }: { started: StartedHere | undefined; error: NonNullable<StartedHere['error']> }) {
  const dialogs = useDialogs()
  const start = useStartSession()
  const offline = useOfflineReason()
  if (started === undefined) return null
  const canResume = error.code === 'CONFLICT' && started.input.resumeBranch !== true && /branch/i.test(error.message)
  return (
    <div role="alert" className="rounded-4 border border-failed-line bg-surface-2 px-3.5 py-3 [--cut:var(--bg-2)]">
      <p className="flex items-start gap-2.5">
        <StateGlyph state="failed" className="mt-0.5" />
        <span className="min-w-0">
          <b className="font-semibold">The session was not created.</b>{' '}
          <span className="break-words text-ink-2">{error.message}</span>
        </span>
      </p>
      <div className="mt-3 flex flex-wrap gap-2 pl-[26px] max-md:pl-0">
        {canResume ? (
          <Button
            kind="primary"
            disabledReason={offline}
            onClick={() => start({ ...started.input, resumeBranch: true })}
          >
            <GitBranch className="icon-14" />
            Continue from that branch
          </Button>
        ) : (
          <Button kind="primary" disabledReason={offline} onClick={() => start(started.input)}>
            <RotateCcw className="icon-14" />
            Try again
          </Button>
        )}
        <Button onClick={() => dialogs.open({ kind: 'new-session', draft: started.input })}>Change it</Button>
      </div>
    </div>
  )
}

/** Before the first step is reported, the request itself is what happens. */
function stepsOf(command: CommandView | undefined): CommandView['steps'] {
  if (command !== undefined && command.steps.length > 0) return command.steps
  const isOver = command?.endedAt !== undefined
  return [{ name: 'Ask the machine', state: isOver ? (command.error === undefined ? 'done' : 'failed') : 'running' }]
}
