import { cx } from './cx.ts'

/** The three faces of a connection. */
export type DotState = 'on' | 'retrying' | 'off'

/** A connection's state as an 8 px mark: a disc, an open ring, a dashed ring. */
export function Dot({ state, className }: { state: DotState; className?: string }) {
  return (
    <span
      aria-hidden="true"
      className={cx(
        'size-2 flex-none rounded-full',
        state === 'on' && 'bg-done',
        state === 'off' && 'border-[1.5px] border-dashed border-offline',
        state === 'retrying' && '-mx-px size-2.5 border-2 border-needs border-r-transparent',
        className,
      )}
    />
  )
}
