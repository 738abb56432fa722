import { useSyncExternalStore } from 'react'

const MINUTE_S = 60
const HOUR_S = 3_600
const DAY_S = 86_400

let now = 0
let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  if (timer === undefined) {
    now = Date.now()
    timer = setInterval(() => {
      now = Date.now()
      for (const each of listeners) each()
    }, 1_000)
  }
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

/** The present moment in milliseconds, in whole steps of `stepMs`; one clock serves the page. */
export function useNow(stepMs = 1_000): number {
  return useSyncExternalStore(
    subscribe,
    () => Math.floor((now === 0 ? Date.now() : now) / stepMs) * stepMs,
    () => 0,
  )
}

/** A span of time in its largest unit, such as `42s`, `18m`, `3h` or `2d`. */
export function shortSpan(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000))
  if (s < MINUTE_S) return `${s}s`
  if (s < HOUR_S) return `${Math.floor(s / MINUTE_S)}m`
  if (s < DAY_S) return `${Math.floor(s / HOUR_S)}h`
  return `${Math.floor(s / DAY_S)}d`
}

/** A span of time in words, such as `42 s`, `18 min`, `3 h 5 min` or `2 days`. */
export function longSpan(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000))
  if (s < MINUTE_S) return `${s} s`
  if (s < HOUR_S) return `${Math.floor(s / MINUTE_S)} min`
  if (s < DAY_S) return `${Math.floor(s / HOUR_S)} h ${Math.floor((s % HOUR_S) / MINUTE_S)} min`
  const days = Math.floor(s / DAY_S)
  return days === 1 ? '1 day' : `${days} days`
}

/** How long a step took: milliseconds below one second, else seconds with one digit. */
export function stepTime(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : longSpan(ms)
}

/** The time of day of a moment, such as 14:06:21. */
export function clockTime(at: number | string): string {
  return new Date(at).toLocaleTimeString(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  })
}

/** How long ago a moment was, with the moment itself on hover. */
export function Age({ at, isLong = false, className }: { at: string; isLong?: boolean; className?: string }) {
  const present = useNow(1_000)
  const then = Date.parse(at)
  const span = present === 0 ? 0 : present - then
  return (
    <time dateTime={at} title={new Date(then).toLocaleString()} className={className} suppressHydrationWarning>
      {isLong ? longSpan(span) : shortSpan(span)}
    </time>
  )
}
