import { useEffect } from 'react'
import { createStore, useStore } from '../relay/store.ts'

/** Makes a hook that loads a module at its first use; `undefined` until it is there. */
export function lazyModule<T>(load: () => Promise<T>, without: string): () => T | undefined {
  const store = createStore<T | undefined>(undefined)
  let isAsked = false
  const ask = () => {
    if (isAsked) return
    isAsked = true
    load().then(store.set, (error: unknown) => {
      isAsked = false
      console.warn(without, error)
    })
  }
  return () => {
    useEffect(ask, [])
    return useStore(store, undefined)
  }
}

/** The highlighter of code. */
export const useHighlighter = lazyModule(
  () => import('./highlight.ts'),
  'Code stays without colours: they could not be loaded.',
)

/** What compares texts. */
export const useDiffer = lazyModule(() => import('./diff.ts'), 'Changes are not compared: that could not be loaded.')
