import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import type { SessionFace } from './session-state.ts'

/** A session's state in its header: shape and word. */
export function StatePill({ face }: { face: SessionFace }) {
  return (
    <span
      title={face.doing}
      className={cx(
        'inline-flex h-6 flex-none items-center gap-1.5 rounded-2 border pr-[9px] pl-1.5 text-12 font-medium whitespace-nowrap',
        face.glyph === 'working' && 'border-transparent bg-working-soft text-working',
        face.glyph === 'failed' && 'border-failed-line bg-failed-soft text-failed',
        face.glyph === 'needs' && 'border-needs-line bg-needs-soft text-needs',
        face.glyph !== 'working' && face.glyph !== 'failed' && face.glyph !== 'needs' && 'border-line-2',
      )}
    >
      <StateGlyph state={face.glyph} className="!size-3.5" />
      {face.word}
    </span>
  )
}
