import { createStore, useStore } from '../relay/store.ts'

/** How the page looks: as the system says, or always one way. */
export type Appearance = 'system' | 'dark' | 'light'

const KEY = 'aio.appearance'
const store = createStore<Appearance>('system')

/** Puts the kept choice on the page; called once when it loads. */
export function applyAppearance(): void {
  const kept = window.localStorage.getItem(KEY)
  setAppearance(kept === 'dark' || kept === 'light' ? kept : 'system')
}

/** Changes how the page looks, and keeps it in this browser. */
export function setAppearance(value: Appearance): void {
  if (value === 'system') {
    window.localStorage.removeItem(KEY)
    delete document.documentElement.dataset['theme']
  } else {
    window.localStorage.setItem(KEY, value)
    document.documentElement.dataset['theme'] = value
  }
  store.set(value)
}

/** Follows how the page looks. */
export function useAppearance(): Appearance {
  return useStore(store, 'system')
}
