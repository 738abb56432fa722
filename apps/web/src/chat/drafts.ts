import { useCallback } from 'react'
import { createStore, useStore } from '../relay/store.ts'

const store = createStore<Readonly<Record<string, string>>>({})

/** What was written for a session and not sent yet; it stays while other pages are looked at. */
export function useDraft(sessionId: string): [string, (text: string) => void] {
  const text = useStore(store, {})[sessionId] ?? ''
  const set = useCallback((next: string) => store.set({ ...store.get(), [sessionId]: next }), [sessionId])
  return [text, set]
}
