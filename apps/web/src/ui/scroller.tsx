import type { ReactNode } from 'react'
import { cx } from './cx.ts'

/** A part of the page that scrolls by itself, with the keyboard too. */
export function Scroller({
  as: Element = 'div',
  className,
  children,
}: {
  as?: 'div' | 'pre' | 'span'
  className: string
  children: ReactNode
}) {
  return (
    <Element tabIndex={0} className={cx('focus-visible:shadow-focus-inset', className)}>
      {children}
    </Element>
  )
}
