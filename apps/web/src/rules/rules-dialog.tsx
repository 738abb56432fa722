import { Dialog } from '../ui/dialog.tsx'
import { RuleList } from './rule-list.tsx'

/** The standing answers of a project. */
export function RulesDialog({ projectId, onClose }: { projectId: string; onClose: () => void }) {
  return (
    <Dialog
      isOpen
      onClose={onClose}
      title="Standing answers"
      header={<span className="truncate text-ink-3">of {projectId}</span>}
    >
      <p className="px-[18px] pb-2 text-12 text-ink-3">
        What was answered with Always. It holds until it is revoked, or its session or project is removed.
      </p>
      <div className="min-h-0 overflow-y-auto border-t border-line-1 pb-2">
        <RuleList projectId={projectId} />
      </div>
    </Dialog>
  )
}
