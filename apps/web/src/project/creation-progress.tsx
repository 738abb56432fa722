import { Button } from '../ui/button.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import type { ProjectCreation } from './use-create-project.ts'

/** The live progress of a clone, and its failure in the relay's own words. */
export function CreationProgress({ creation }: { creation: ProjectCreation }) {
  if (creation.error !== undefined)
    return (
      <p
        role="alert"
        className="mt-3 flex items-start gap-2.5 rounded-3 border border-failed-line bg-failed-soft px-3 py-2 text-13"
      >
        <StateGlyph state="failed" className="mt-0.5" />
        <span className="min-w-0 break-words">{creation.error.message}</span>
      </p>
    )
  if (!creation.isRunning) return null
  const percent = creation.progress?.progress
  const step = creation.progress?.steps.findLast((each) => each.state === 'running')
  const line = creation.progress?.message ?? step?.name ?? 'Asking the machine'
  return (
    <div role="status" className="mt-3 flex flex-col gap-2">
      <div className="flex items-center gap-2.5">
        <StateGlyph state="starting" />
        <span className="min-w-0 flex-1 truncate text-ink-2">{line}</span>
        {percent !== undefined && <span className="text-12 text-ink-3">{Math.round(percent)} %</span>}
        <Button kind="ghost" size="sm" onClick={creation.cancel}>
          Stop
        </Button>
      </div>
      <div
        role="progressbar"
        aria-label="Clone"
        aria-valuemin={0}
        aria-valuemax={100}
        {...(percent === undefined ? {} : { 'aria-valuenow': Math.round(percent) })}
        className="h-1 overflow-hidden rounded-full bg-surface-4"
      >
        <div
          className="h-full bg-accent-solid transition-[width] duration-[var(--d-slow)]"
          style={{ width: `${percent ?? 4}%` }}
        />
      </div>
    </div>
  )
}
