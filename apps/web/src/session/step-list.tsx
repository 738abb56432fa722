import type { Step } from '@ai-orchestration/protocol'
import { useEffect, useState } from 'react'
import { cx } from '../ui/cx.ts'
import { type GlyphState, StateGlyph } from '../ui/state-glyph.tsx'
import { stepTime } from '../ui/time.tsx'
import { stepWord } from './session-state.ts'

const GLYPHS: Record<Step['state'], GlyphState> = {
  running: 'starting',
  done: 'done',
  failed: 'failed',
  undone: 'idle',
}

/** The steps of a command with their times, live. */
export function StepList({ steps }: { steps: readonly Step[] }) {
  return (
    <ol aria-live="polite">
      {steps.map((step) => (
        <li key={step.name} className="flex min-h-8 items-center gap-2.5 max-md:min-h-10">
          <StateGlyph state={GLYPHS[step.state]} label={step.state} />
          <span
            className={cx(
              step.state === 'running' && 'font-medium',
              step.state === 'undone' && 'text-ink-3 line-through',
            )}
          >
            {stepWord(step.name)}
          </span>
          {step.detail !== undefined && (
            <span
              className={cx('min-w-0 truncate text-12', step.state === 'failed' ? 'text-failed' : 'text-ink-3')}
              title={step.detail}
            >
              {step.detail}
            </span>
          )}
          <span className="ml-auto flex-none text-12 text-ink-3">
            {step.ms !== undefined ? stepTime(step.ms) : step.state === 'running' ? <Running /> : ''}
          </span>
        </li>
      ))}
    </ol>
  )
}

/** Steps of a tenth of a second for a step that runs. */
function Running() {
  const [ms, setMs] = useState(0)
  useEffect(() => {
    const start = performance.now()
    const timer = setInterval(() => setMs(performance.now() - start), 100)
    return () => clearInterval(timer)
  }, [])
  return ms < 300 ? '' : stepTime(Math.floor(ms / 100) * 100)
}
