import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react'
import { cx } from './cx.ts'
import { Spinner } from './state-glyph.tsx'

const KINDS = {
  default: 'border-line-3 bg-surface-3 text-ink-1 hover:bg-surface-4 active:border-line-control [&_.lucide]:text-ink-2',
  primary: 'border-transparent bg-accent-solid text-accent-on hover:bg-accent-solid-hover',
  ghost: 'border-transparent bg-transparent text-ink-2 hover:bg-surface-3 hover:text-ink-1',
  danger: 'border-line-3 bg-surface-3 text-failed hover:bg-surface-4',
} as const

const SIZES = {
  sm: 'h-6 px-2 text-12 rounded-2',
  md: 'h-7 px-2.5 text-13 rounded-3',
  lg: 'h-9 px-3.5 text-13 rounded-3',
  xl: 'h-10 px-3.5 text-13 rounded-3',
} as const

/** What a {@link Button} takes beside the attributes of a button. */
export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: keyof typeof KINDS
  size?: keyof typeof SIZES
  /** True while its action is under way: it keeps its width and cannot be pressed. */
  isSending?: boolean
  /** Why it cannot be pressed; disables it and shows on hover. */
  disabledReason?: string | undefined
  ref?: Ref<HTMLButtonElement>
  children: ReactNode
}

/** A button; 44 px tall on phones. */
export function Button(props: ButtonProps) {
  const { kind = 'default', size = 'md', isSending = false, disabledReason, className, children, ...rest } = props
  const isDisabled = rest.disabled === true || disabledReason !== undefined || isSending
  return (
    <button
      type="button"
      {...rest}
      disabled={isDisabled}
      title={disabledReason ?? rest.title}
      aria-busy={isSending || undefined}
      className={cx(
        'relative inline-flex flex-none cursor-default items-center justify-center gap-1.5 whitespace-nowrap border font-medium transition-colors duration-[var(--d-fast)] max-md:h-11 max-md:rounded-4 max-md:px-3.5 max-md:text-15',
        SIZES[size],
        isDisabled && !isSending ? 'border-line-2 bg-transparent text-ink-4' : KINDS[kind],
        className,
      )}
    >
      {isSending && (
        <span className="absolute inset-0 grid place-items-center">
          <Spinner />
        </span>
      )}
      <span className={cx('inline-flex items-center gap-1.5', isSending && 'invisible')}>{children}</span>
    </button>
  )
}

/** A square button with an icon only; its label is read and shown on hover. */
export function IconButton(
  props: Omit<ButtonProps, 'children' | 'aria-label'> & { label: string; children: ReactNode },
) {
  const { label, className, ...rest } = props
  return (
    <Button kind="ghost" title={label} {...rest} aria-label={label} className={cx('aspect-square !px-0', className)} />
  )
}
