import { createContext, type ReactNode, useCallback, useContext, useState } from 'react'

const Context = createContext<Map<string, boolean>>(new Map())

/** Remembers which rows were opened or closed by hand, also while they are scrolled out of the page. */
export function OpenRows({ children }: { children: ReactNode }) {
  const [rows] = useState(() => new Map<string, boolean>())
  return <Context.Provider value={rows}>{children}</Context.Provider>
}

/** Whether a row is open, and how to turn that; what was done by hand stays. */
export function useOpenRow(key: string, isOpenAtFirst: boolean): [boolean, () => void] {
  const rows = useContext(Context)
  const [, redraw] = useState(0)
  const isOpen = rows.get(key) ?? isOpenAtFirst
  const toggle = useCallback(() => {
    rows.set(key, !isOpen)
    redraw((count) => count + 1)
  }, [rows, key, isOpen])
  return [isOpen, toggle]
}
