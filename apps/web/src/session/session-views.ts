import { Activity, MessageSquare, Terminal } from 'lucide-react'
import { useCallback, useState } from 'react'
import { useIsWide } from '../ui/use-is-wide.ts'

/** The views of a session. */
export const VIEWS = {
  chat: { label: 'Chat', icon: MessageSquare },
  terminal: { label: 'Terminal', icon: Terminal },
  activity: { label: 'Activity', icon: Activity },
} as const

/** One view of a session. */
export type View = keyof typeof VIEWS

/** Where the choice of two views side by side is kept in this browser. */
const KEY = 'aio.split'

/** Which views a session has, and which of them are shown. */
export interface SessionViews {
  offered: readonly View[]
  /** One, or two side by side where there is room for them. */
  shown: readonly View[]
  /** The one that is shown where there is room for one. */
  main: View
  choose: (view: View) => void
  isSplit: boolean
  /** Absent where there is no room for two. */
  setSplit: ((isSplit: boolean) => void) | undefined
}

/** A chat comes first where there is one; beside it stands the view that was chosen last. */
export function useSessionViews(isChat: boolean): SessionViews {
  const offered: readonly View[] = isChat ? ['chat', 'terminal', 'activity'] : ['terminal', 'activity']
  const first: View = isChat ? 'chat' : 'terminal'
  const [chosen, setChosen] = useState<View>()
  const [beside, setBeside] = useState<View>('activity')
  const [wantsSplit, setWants] = useState(() => typeof window !== 'undefined' && localStorage.getItem(KEY) === 'true')
  const isWide = useIsWide()
  const main = chosen !== undefined && offered.includes(chosen) ? chosen : first
  const isSplit = isWide && wantsSplit
  const choose = useCallback(
    (view: View) => {
      setChosen(view)
      if (view !== first) setBeside(view)
    },
    [first],
  )
  return {
    ...{ offered, main, choose, isSplit },
    shown: isSplit ? [first, beside] : [main],
    setSplit: isWide
      ? (next) => {
          localStorage.setItem(KEY, String(next))
          setWants(next)
        }
      : undefined,
  }
}
