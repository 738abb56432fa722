import { useSyncExternalStore } from 'react'

/** From this width on, in pixels, two panes stand side by side. */
const WIDE = '(min-width: 1200px)'

/** Whether the window has room for two panes. */
export function useIsWide(): boolean {
  return useSyncExternalStore(
    (listener) => {
      const query = window.matchMedia(WIDE)
      query.addEventListener('change', listener)
      return () => query.removeEventListener('change', listener)
    },
    () => window.matchMedia(WIDE).matches,
    () => false,
  )
}
