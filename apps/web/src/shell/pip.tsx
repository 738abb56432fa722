import { cx } from '../ui/cx.ts'

/** How many things wait for a person, on the corner of an icon; nothing when none does. */
export function Pip({ count, className }: { count: number; className: string }) {
  if (count === 0) return null
  return (
    <span
      className={cx(
        'absolute min-w-4 rounded-full bg-needs px-1 text-center text-[10px]/[15px] font-semibold text-needs-on',
        className,
      )}
    >
      {count}
      <span className="sr-only"> need you</span>
    </span>
  )
}
