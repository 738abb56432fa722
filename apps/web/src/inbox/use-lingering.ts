import { useEffect, useRef, useState } from 'react'

/** Keeps items a while after they have left the list, each in its place, so that it can be seen how they went. */
export function useLingering<T extends { id: string }>(
  items: readonly T[],
  ms: number,
): { item: T; isGone: boolean }[] {
  const [left, setLeft] = useState<readonly { item: T; before: string | undefined }[]>([])
  const last = useRef(items)
  const timers = useRef(new Set<ReturnType<typeof setTimeout>>())
  useEffect(() => {
    const present = new Set(items.map(({ id }) => id))
    const went = last.current
      .map((item, index) => ({ item, before: last.current[index + 1]?.id }))
      .filter(({ item }) => !present.has(item.id))
    last.current = items
    if (went.length === 0) return
    setLeft((before) => [...before, ...went])
    const ids = new Set(went.map(({ item }) => item.id))
    const timer = setTimeout(() => {
      timers.current.delete(timer)
      setLeft((before) => before.filter(({ item }) => !ids.has(item.id)))
    }, ms)
    timers.current.add(timer)
  }, [items, ms])
  useEffect(() => {
    const open = timers.current
    return () => {
      for (const timer of open) clearTimeout(timer)
    }
  }, [])
  const shown = items.map((item) => ({ item, isGone: false }))
  for (const { item, before } of left.toReversed()) {
    if (shown.some((each) => each.item.id === item.id)) continue
    const at = shown.findIndex((each) => each.item.id === before)
    shown.splice(at === -1 ? shown.length : at, 0, { item, isGone: true })
  }
  return shown
}
