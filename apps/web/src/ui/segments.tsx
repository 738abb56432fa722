import { cx } from './cx.ts'

/** A choice of one among few that is always visible, each with a count where there is one. */
export function Segments<Id extends string>(props: {
  label: string
  options: readonly { id: Id; label: string; count?: number; disabledReason?: string | undefined }[]
  value: Id
  onChange: (id: Id) => void
}) {
  return (
    <fieldset
      aria-label={props.label}
      className="inline-flex w-fit flex-none gap-px rounded-3 border border-line-2 bg-surface-2 p-px"
    >
      {props.options.map(({ id, label, count, disabledReason }) => (
        <button
          key={id}
          type="button"
          aria-pressed={props.value === id}
          disabled={disabledReason !== undefined}
          title={disabledReason}
          onClick={() => props.onChange(id)}
          className={cx(
            'inline-flex h-[22px] cursor-default items-center gap-[5px] rounded-[4px] px-2 text-12 font-medium whitespace-nowrap max-md:h-10 max-md:px-3 max-md:text-13',
            disabledReason !== undefined
              ? 'text-ink-4'
              : props.value === id
                ? 'bg-surface-4 text-ink-1'
                : 'text-ink-2 hover:text-ink-1',
          )}
        >
          {label}
          {count !== undefined && <span className="font-normal text-ink-3">{count}</span>}
        </button>
      ))}
    </fieldset>
  )
}
