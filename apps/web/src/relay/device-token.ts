import { createStore, useStore } from './store.ts'

const KEY = 'aio.token'

// `undefined` until the browser has been asked, `null` when logged out.
const store = createStore<string | null | undefined>(undefined)

function read(): string | null | undefined {
  if (typeof window === 'undefined') return undefined
  if (store.get() === undefined) store.set(window.localStorage.getItem(KEY))
  return store.get()
}

/** This device's token: `undefined` before the browser was asked, `null` when logged out. */
export function deviceToken(): string | null | undefined {
  return read()
}

/** Keeps this device's token in the browser, or forgets it. It is never put into an address. */
export function setDeviceToken(token: string | null): void {
  if (token === null) window.localStorage.removeItem(KEY)
  else window.localStorage.setItem(KEY, token)
  store.set(token)
}

/** Follows this device's token, also when another tab logs in or out. */
export function useDeviceToken(): string | null | undefined {
  return useStore({ ...store, get: read, subscribe: follow }, undefined)
}

function follow(listener: () => void): () => void {
  const stop = store.subscribe(listener)
  const onStorage = (event: StorageEvent) => {
    if (event.key === KEY || event.key === null) store.set(window.localStorage.getItem(KEY))
  }
  window.addEventListener('storage', onStorage)
  return () => {
    stop()
    window.removeEventListener('storage', onStorage)
  }
}
