import { useRouter } from 'next/router'
import { useState } from 'react'
import { focusSafeAnswer } from '../project/delete-project-dialog.tsx'
import { useOfflineReason } from '../relay/connection.ts'
import { type ReadError, readError } from '../relay/read-error.ts'
import { trpc } from '../relay/trpc.ts'
import { useSessions } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { Dialog, DialogFooter } from '../ui/dialog.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { toastDone } from '../ui/toast.ts'
import { type LostWork, lostWorkOf } from './work-at-risk.ts'

/** Asks before a session ends; when that would lose work it names the work and asks again. The safe answer has the focus. */
export function TerminateDialog({ sessionId, onClose }: { sessionId: string; onClose: () => void }) {
  const session = useSessions()?.find((each) => each.id === sessionId)
  const offline = useOfflineReason()
  const router = useRouter()
  const { client } = trpc.useUtils()
  const [isSending, setSending] = useState(false)
  const [error, setError] = useState<ReadError>()
  const risk = error?.code === 'WORK_AT_RISK' ? lostWorkOf(error.details) : undefined
  const isRunning = session?.state === 'running' || session?.state === 'starting'
  const verb = isRunning ? 'Terminate' : 'Remove'

  const act = async (force: boolean) => {
    setSending(true)
    setError(undefined)
    try {
      const done = await client.sessions.terminate.mutate({ sessionId, ...(force ? { force } : {}) })
      toastDone(
        done.archive === undefined
          ? `${session?.name ?? sessionId} was ${isRunning ? 'terminated' : 'removed'}, its commits are on ${done.branch}`
          : `${session?.name ?? sessionId} was ${isRunning ? 'terminated' : 'removed'}, its work is kept in archive ${done.archive.id}`,
      )
      onClose()
      await router.push('/')
    } catch (thrown) {
      setError(readError(thrown))
    } finally {
      setSending(false)
    }
  }

  const isAtRisk = error?.code === 'WORK_AT_RISK'
  return (
    <Dialog
      key={isAtRisk ? 'risk' : 'ask'}
      isOpen
      isAlert
      onClose={onClose}
      width="question"
      title={isAtRisk ? `${verb} with unsaved work?` : `${verb} ${session?.title ?? session?.name ?? sessionId}?`}
      onOpenFocus={focusSafeAnswer}
    >
      <div className="min-h-0 overflow-y-auto px-[18px] pb-4 text-ink-2">
        {isAtRisk ? (
          <Risk risk={risk} fallback={error.message} />
        ) : (
          <p>
            {isRunning
              ? 'Its process ends and its container and worktree are removed.'
              : 'Its container and worktree are removed.'}{' '}
            Its commits stay on <span className="code-sm text-ink-1">{session?.branch ?? 'its branch'}</span>. If
            anything would be lost, you are asked first.
          </p>
        )}
        {error !== undefined && !isAtRisk && (
          <p role="alert" className="mt-3 flex items-start gap-2.5 text-failed">
            <StateGlyph state="failed" className="mt-0.5" />
            {error.message}
          </p>
        )}
      </div>
      <DialogFooter>
        <Button kind="danger" onClick={() => void act(isAtRisk)} isSending={isSending} disabledReason={offline}>
          {isAtRisk ? `Archive and ${verb.toLowerCase()}` : verb}
        </Button>
        <Button kind="primary" data-safe className="focus:shadow-focus" onClick={onClose}>
          Keep session
        </Button>
      </DialogFooter>
    </Dialog>
  )
}

function Risk({ risk, fallback }: { risk: LostWork | undefined; fallback: string }) {
  if (risk === undefined || risk.parts.length === 0) return <p>{fallback}</p>
  return (
    <>
      <p>This is only in the session's worktree. An archive of it is made and checked before anything is removed.</p>
      <dl className="mt-3 flex flex-col gap-2.5">
        {risk.parts.map((part) => (
          <div key={part.title}>
            <dt className="text-12 font-medium text-ink-1">{part.title}</dt>
            <dd className="mt-0.5">
              <ul className="code-sm max-h-28 overflow-y-auto rounded-2 border border-line-2 bg-well px-2 py-1 text-ink-2">
                {part.items.map((item) => (
                  <li key={item} className="truncate" title={item}>
                    {item}
                  </li>
                ))}
              </ul>
            </dd>
          </div>
        ))}
      </dl>
      {risk.omitted > 0 && <p className="mt-2 text-12">And {risk.omitted} more.</p>}
    </>
  )
}
