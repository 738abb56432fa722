import { useRouter } from 'next/router'
import { useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { type ReadError, readError } from '../relay/read-error.ts'
import { trpc } from '../relay/trpc.ts'
import { useProjects, useSessions } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { Dialog, DialogFooter } from '../ui/dialog.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { toastDone } from '../ui/toast.ts'

/** Asks before a project is deleted. */
export function DeleteProjectDialog({ projectId, onClose }: { projectId: string; onClose: () => void }) {
  const project = useProjects()?.find((each) => each.id === projectId)
  const count = useSessions()?.filter((each) => each.projectId === projectId).length ?? 0
  const offline = useOfflineReason()
  const router = useRouter()
  const remove = trpc.projects.delete.useMutation()
  const [error, setError] = useState<ReadError>()
  const act = async () => {
    try {
      await remove.mutateAsync({ projectId })
      toastDone(`Project ${projectId} was deleted`)
      onClose()
      await router.push('/')
    } catch (thrown) {
      setError(readError(thrown))
    }
  }
  return (
    <Dialog
      isOpen
      isAlert
      onClose={onClose}
      width="question"
      title={`Delete ${project?.name ?? projectId}?`}
      onOpenFocus={focusSafeAnswer}
    >
      <div className="px-[18px] pb-4 text-ink-2">
        <p>
          {count === 0
            ? 'Its repository is archived on its machine first, then its folder is removed.'
            : `It has ${count} ${count === 1 ? 'session' : 'sessions'}. Terminate them first, so that their work is brought home or archived.`}
        </p>
        {error !== undefined && (
          <p role="alert" className="mt-3 flex items-start gap-2.5 text-failed">
            <StateGlyph state="failed" className="mt-0.5" />
            {error.message}
          </p>
        )}
      </div>
      <DialogFooter>
        <Button
          kind="danger"
          onClick={() => void act()}
          isSending={remove.isPending}
          disabledReason={offline ?? (count > 0 ? 'Terminate its sessions first' : undefined)}
        >
          Delete project
        </Button>
        <Button kind="primary" data-safe className="focus:shadow-focus" onClick={onClose}>
          Keep project
        </Button>
      </DialogFooter>
    </Dialog>
  )
}

/** Gives the focus to the answer that changes nothing. */
export function focusSafeAnswer(event: Event): void {
  const dialog = event.target
  if (!(dialog instanceof HTMLElement)) return
  const safe = dialog.querySelector<HTMLElement>('[data-safe]')
  if (safe === null) return
  event.preventDefault()
  safe.focus()
}
