import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { IconButton } from './button.tsx'
import { cx } from './cx.ts'

/** A dialog over the page: on phones it fills the width and sits at the bottom. Esc and the scrim close it. */
export function Dialog(props: {
  isOpen: boolean
  onClose: () => void
  /** Read aloud when it opens; shown unless `header` replaces it. */
  title: string
  header?: ReactNode
  /** Width of the dialog on a laptop. */
  width?: 'question' | 'form'
  /** Called when it opens, to say what has the focus. */
  onOpenFocus?: (event: Event) => void
  isAlert?: boolean
  children: ReactNode
}) {
  return (
    <Radix.Root open={props.isOpen} onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="animate-fade fixed inset-0 z-40 bg-scrim" />
        <Radix.Content
          aria-describedby={undefined}
          role={props.isAlert === true ? 'alertdialog' : 'dialog'}
          {...(props.onOpenFocus === undefined ? {} : { onOpenAutoFocus: props.onOpenFocus })}
          className={cx(
            'animate-appear fixed left-1/2 z-50 flex max-h-[calc(100dvh-32px)] w-full -translate-x-1/2 flex-col overflow-hidden rounded-5 border border-line-3 bg-overlay shadow-dialog [--cut:var(--bg-overlay)] focus-visible:shadow-dialog',
            'max-md:bottom-0 max-md:rounded-b-[0] max-md:border-x-0 max-md:border-b-0 max-md:pb-[env(safe-area-inset-bottom)] md:top-[min(104px,8dvh)]',
            props.width === 'question' ? 'md:max-w-[460px]' : 'md:max-w-[680px]',
          )}
        >
          <div className="flex min-h-12 flex-none items-center gap-2 py-1 pr-2.5 max-md:min-h-14 pl-[18px]">
            <Radix.Title className="text-14 font-semibold">{props.title}</Radix.Title>
            {props.header}
            <span className="flex-1" />
            <Radix.Close asChild>
              <IconButton label="Close">
                <X />
              </IconButton>
            </Radix.Close>
          </div>
          {props.children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** The row of buttons that closes a dialog. */
export function DialogFooter({ hint, children }: { hint?: ReactNode; children: ReactNode }) {
  return (
    <div className="flex flex-none flex-wrap items-center gap-2 border-t border-line-2 py-3 pr-3 pl-[18px]">
      <span className="min-w-0 flex-1 text-12 text-ink-3 max-md:hidden">{hint}</span>
      <span className="flex items-center gap-2 max-md:w-full max-md:[&>*]:flex-1">{children}</span>
    </div>
  )
}
