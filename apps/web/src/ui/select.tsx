import { Check, ChevronDown } from 'lucide-react'
import { Select as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { cx } from './cx.ts'

/** One choice of a {@link Select}. */
export interface SelectOption {
  value: string
  label: string
  /** Small text at its right, or below it when it cannot be chosen. */
  note?: string | undefined
  /** True when it is shown and cannot be chosen; `note` says why. */
  isDisabled?: boolean
  /** True when `note` is a sentence, which stands below the label. */
  isNoteBelow?: boolean
}

/** A choice among few; options that cannot be chosen stay visible with their reason. */
export function Select(props: {
  id?: string
  label: string
  value: string
  onChange: (value: string) => void
  options: SelectOption[]
  icon?: ReactNode
  isMono?: boolean
  isInline?: boolean
  /** True where it stands among small buttons without a frame. */
  isGhost?: boolean
  isDisabled?: boolean
}) {
  return (
    <Radix.Root value={props.value} onValueChange={props.onChange} disabled={props.isDisabled === true}>
      <Radix.Trigger
        id={props.id}
        aria-label={props.label}
        className={cx(
          'flex min-w-0 cursor-default items-center gap-2 border focus-visible:border-accent focus-visible:shadow-[0_0_0_1px_var(--accent)] data-[placeholder]:text-ink-3 max-md:h-11 [&_.lucide]:text-ink-3',
          props.isGhost === true
            ? 'h-6 max-w-48 gap-1.5 rounded-2 border-transparent px-2 text-12 font-medium text-ink-2 hover:bg-surface-3 hover:text-ink-1 data-[disabled]:text-ink-3 max-md:text-13'
            : 'rounded-3 border-line-3 text-13 text-ink-1 max-md:text-15',
          props.isInline === true && 'h-6 max-w-64 bg-surface-3 px-2 font-medium',
          props.isInline !== true && props.isGhost !== true && 'h-[34px] w-full bg-surface-1 px-2.5',
          props.isMono === true && 'font-mono text-code',
        )}
      >
        {props.icon}
        <span className="min-w-0 flex-1 truncate text-left">
          <Radix.Value placeholder="Choose" />
        </span>
        <ChevronDown className="icon-14" />
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          position="popper"
          sideOffset={4}
          className="animate-fade z-[60] max-h-[min(340px,var(--radix-select-content-available-height))] min-w-[max(200px,var(--radix-select-trigger-width))] max-w-[min(380px,calc(100vw-24px))] overflow-hidden rounded-4 border border-line-3 bg-overlay p-1 shadow-pop"
        >
          <Radix.Viewport>
            {props.options.map((option) => (
              <Radix.Item
                key={option.value}
                value={option.value}
                disabled={option.isDisabled === true}
                className="grid cursor-default grid-cols-[16px_1fr_auto] items-center gap-x-2 rounded-2 px-2 py-1.5 text-13 outline-none data-[disabled]:text-ink-3 data-[highlighted]:bg-surface-4 data-[highlighted]:shadow-none max-md:py-2.5 max-md:text-15"
              >
                <span className="col-start-1">
                  <Radix.ItemIndicator>
                    <Check className="icon-14" />
                  </Radix.ItemIndicator>
                </span>
                <span className="col-start-2 min-w-0 truncate">
                  <Radix.ItemText>{option.label}</Radix.ItemText>
                </span>
                {option.note !== undefined && (
                  <span
                    className={cx(
                      'text-12 text-ink-3',
                      option.isDisabled === true || option.isNoteBelow === true
                        ? 'col-span-2 col-start-2 mt-0.5 whitespace-normal'
                        : 'col-start-3',
                    )}
                  >
                    {option.note}
                  </span>
                )}
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
