import type { InputHTMLAttributes, ReactNode, Ref } from 'react'
import { cx } from './cx.ts'

/** A label, its control, and one line below it: an error when there is one, else a hint. */
export function Field(props: {
  id: string
  label: string
  error?: string | undefined
  hint?: ReactNode
  children: ReactNode
  className?: string
}) {
  return (
    <div className={cx('flex min-w-0 flex-col gap-1.5', props.className)}>
      <label htmlFor={props.id} className="text-12 font-medium text-ink-2 max-md:text-13">
        {props.label}
      </label>
      {props.children}
      {props.error !== undefined ? (
        <p id={`${props.id}-note`} role="alert" className="text-12 text-failed">
          {props.error}
        </p>
      ) : (
        props.hint !== undefined && (
          <p id={`${props.id}-note`} className="text-12 text-ink-3">
            {props.hint}
          </p>
        )
      )}
    </div>
  )
}

/** Frame of a text field, shared with fields that hold an icon or a button beside the text. */
export const INPUT_FRAME =
  'flex h-[34px] min-w-0 items-center gap-2 rounded-3 border border-line-3 bg-surface-1 px-2.5 transition-colors duration-[var(--d-fast)] focus-within:border-accent focus-within:shadow-[0_0_0_1px_var(--accent)] max-md:h-11 [&_.lucide]:text-ink-3'

/** A text field with room for something before and after the text. */
export function Input(
  props: InputHTMLAttributes<HTMLInputElement> & {
    isInvalid?: boolean
    isMono?: boolean
    before?: ReactNode
    after?: ReactNode
    frameClassName?: string
    ref?: Ref<HTMLInputElement>
  },
) {
  const { isInvalid = false, isMono = false, before, after, frameClassName, className, ...rest } = props
  return (
    <span
      className={cx(
        INPUT_FRAME,
        isInvalid && 'border-failed focus-within:border-failed focus-within:shadow-[0_0_0_1px_var(--state-failed)]',
        frameClassName,
      )}
    >
      {before}
      <input
        autoComplete="off"
        autoCapitalize="off"
        autoCorrect="off"
        spellCheck={false}
        {...rest}
        aria-invalid={isInvalid || undefined}
        aria-describedby={rest.id === undefined ? undefined : `${rest.id}-note`}
        className={cx(
          'h-full min-w-0 flex-1 bg-transparent text-13 text-ink-1 focus-visible:shadow-none max-md:text-16',
          isMono && 'font-mono text-code',
          className,
        )}
      />
      {after}
    </span>
  )
}
