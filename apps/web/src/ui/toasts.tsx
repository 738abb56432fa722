import { Toaster } from 'sonner'
import { StateGlyph } from './state-glyph.tsx'

/** How long a toast of something done stays, in milliseconds; failures stay until closed. */
const SHOWN_MS = 6_000

/** Where toasts appear: bottom right, above the bottom bar on phones. */
export function Toasts() {
  return (
    <Toaster
      position="bottom-right"
      duration={SHOWN_MS}
      mobileOffset={{ bottom: 72 }}
      icons={{ success: <StateGlyph state="done" />, error: <StateGlyph state="failed" /> }}
      toastOptions={{
        unstyled: true,
        classNames: {
          toast:
            'flex w-[360px] max-w-[calc(100vw-32px)] items-start gap-2.5 rounded-4 border border-line-3 bg-overlay px-3 py-2.5 font-sans text-13 text-ink-1 shadow-pop [--cut:var(--bg-overlay)]',
          icon: 'mt-0.5',
          content: 'min-w-0 flex-1',
          title: 'font-medium',
          description: 'mt-0.5 text-12 text-ink-2 break-words',
          actionButton:
            'ml-auto h-6 flex-none rounded-2 border border-line-3 bg-surface-3 px-2 text-12 font-medium hover:bg-surface-4',
        },
      }}
    />
  )
}
