import { cx } from './cx.ts'

/** The shapes a state can have; each reads without its colour. */
export type GlyphState = 'working' | 'starting' | 'needs' | 'idle' | 'done' | 'failed' | 'offline' | 'paused'

const COLORS: Record<GlyphState, string> = {
  working: 'text-working',
  starting: 'text-working',
  needs: 'text-needs-fill',
  idle: 'text-idle',
  done: 'text-done',
  failed: 'text-failed',
  offline: 'text-offline',
  paused: 'text-paused',
}

const CUT = '[stroke:var(--cut)] [stroke-width:1.8]'

/** A state as a 16 px shape; `label` is what is read, and hides the glyph from readers when absent. */
export function StateGlyph({ state, label, className }: { state: GlyphState; label?: string; className?: string }) {
  return (
    <svg
      viewBox="0 0 16 16"
      {...(label === undefined ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })}
      className={cx(
        'block size-4 flex-none fill-none stroke-current [stroke-linecap:round] [stroke-linejoin:round] [stroke-width:1.6]',
        COLORS[state],
        className,
      )}
    >
      <title>{label ?? ''}</title>
      <Shape state={state} />
    </svg>
  )
}

function Shape({ state }: { state: GlyphState }) {
  switch (state) {
    case 'working':
      return (
        <>
          <circle cx="8" cy="8" r="5.6" opacity=".28" />
          <path className="spin-slow" d="M8 2.4A5.6 5.6 0 0 1 13.6 8" />
          <circle cx="8" cy="8" r="1.9" className="fill-current" stroke="none" />
        </>
      )
    case 'starting':
      return (
        <>
          <circle cx="8" cy="8" r="5.6" opacity=".28" />
          <path className="spin-slow" d="M8 2.4A5.6 5.6 0 0 1 13.6 8" />
        </>
      )
    case 'needs':
      return (
        <>
          <path d="M8 1.9 14.1 8 8 14.1 1.9 8Z" className="fill-current" strokeWidth="1.4" />
          <path className={CUT} d="M8 5.3v3.2M8 10.7v.01" />
        </>
      )
    case 'idle':
      return <circle cx="8" cy="8" r="5.6" />
    case 'done':
      return (
        <>
          <circle cx="8" cy="8" r="6.4" className="fill-current" stroke="none" />
          <path className={CUT} d="m5.3 8.2 1.9 1.9 3.6-4" />
        </>
      )
    case 'failed':
      return (
        <>
          <rect x="2" y="2" width="12" height="12" rx="2.8" className="fill-current" stroke="none" />
          <path className={CUT} d="m5.8 5.8 4.4 4.4M10.2 5.8l-4.4 4.4" />
        </>
      )
    case 'offline':
      return (
        <>
          <circle cx="8" cy="8" r="5.6" strokeDasharray="2.4 2" />
          <path d="M12.6 3.4 3.4 12.6" />
        </>
      )
    case 'paused':
      return (
        <>
          <circle cx="8" cy="8" r="5.8" />
          <path d="M6.6 6.2v3.6M9.4 6.2v3.6" />
        </>
      )
    default:
      return state satisfies never
  }
}

/** The turning arc inside a button. */
export function Spinner() {
  return (
    <svg
      viewBox="0 0 16 16"
      aria-hidden="true"
      className="block size-4 flex-none fill-none stroke-current [stroke-linecap:round] [stroke-width:1.6]"
    >
      <circle cx="8" cy="8" r="5.6" opacity=".28" />
      <path className="spin-slow" d="M8 2.4A5.6 5.6 0 0 1 13.6 8" />
    </svg>
  )
}
