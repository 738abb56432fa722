import { cx } from './cx.ts'

/** A key, as it is printed on the keyboard; hidden where there is none. */
export function Kbd({
  children,
  isBare = false,
  isOnAccent = false,
}: {
  children: string
  isBare?: boolean
  isOnAccent?: boolean
}) {
  return (
    <span
      aria-hidden="true"
      className={cx(
        'inline-flex h-[18px] min-w-[18px] flex-none items-center justify-center rounded-1 px-1 font-sans text-11 font-medium max-md:hidden',
        isOnAccent
          ? 'bg-[rgb(255_255_255/.16)] text-accent-on'
          : isBare
            ? 'text-ink-3'
            : 'border border-line-2 bg-surface-2 text-ink-3',
      )}
    >
      <kbd className="font-sans">{children}</kbd>
    </span>
  )
}
