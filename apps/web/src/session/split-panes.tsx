import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef, useState } from 'react'
import { VIEWS, type View } from './session-views.ts'

/** The left pane's width in pixels: at first, and between which bounds it can be dragged. */
const WIDTH = 580
const MIN = 380
const STEP = 20

/** One view, or two with a divider that can be dragged, and moved with the arrow keys. */
export function SplitPanes({ shown, render }: { shown: readonly View[]; render: (view: View) => ReactNode }) {
  const [first, second] = shown
  const frame = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(WIDTH)
  const set = (next: number) => {
    const max = (frame.current?.clientWidth ?? 2 * WIDTH) - MIN
    setWidth(Math.round(Math.min(Math.max(next, MIN), max)))
  }
  const onMove = (event: PointerEvent<HTMLElement>) => {
    if (event.currentTarget.hasPointerCapture(event.pointerId))
      set(event.clientX - (frame.current?.getBoundingClientRect().left ?? 0))
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
    event.preventDefault()
    set(width + (event.key === 'ArrowRight' ? STEP : -STEP))
  }
  if (first === undefined) return null
  return (
    <div ref={frame} className="flex min-h-0 flex-1">
      <Pane key={first} view={first} width={second === undefined ? undefined : width}>
        {render(first)}
      </Pane>
      {second !== undefined && (
        <>
          {/* biome-ignore lint/a11y/useSemanticElements: a divider that can be moved is no hr */}
          <div
            role="separator"
            aria-orientation="vertical"
            aria-label="Width of the left view"
            aria-valuenow={width}
            aria-valuemin={MIN}
            tabIndex={0}
            onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
            onPointerMove={onMove}
            onKeyDown={onKey}
            onDoubleClick={() => setWidth(WIDTH)}
            className="relative w-px flex-none cursor-col-resize touch-none bg-line-2 before:absolute before:inset-y-0 before:-right-1 before:-left-1 hover:bg-line-control focus-visible:bg-accent focus-visible:shadow-none"
          />
          <Pane key={second} view={second} width={undefined}>
            {render(second)}
          </Pane>
        </>
      )}
    </div>
  )
}

function Pane({ view, width, children }: { view: View; width: number | undefined; children: ReactNode }) {
  return (
    <section
      role="tabpanel"
      id={`pane-${view}`}
      aria-label={VIEWS[view].label}
      style={width === undefined ? undefined : { width }}
      className={`flex min-h-0 min-w-0 flex-col ${width === undefined ? 'flex-1' : 'flex-none'}`}
    >
      {children}
    </section>
  )
}
