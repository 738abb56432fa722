import { useConnection } from '../relay/connection.ts'
import { cx } from '../ui/cx.ts'
import { Dot } from '../ui/dot.tsx'
import { longSpan, useNow } from '../ui/time.tsx'

/** The connection in one line: what it is, and how fast it answers or since when it is gone. */
export function ConnectionLine() {
  const now = useNow()
  const face = useConnectionFace(now)
  return (
    <div role="status" title={face.title} className="flex h-[30px] items-center gap-2.5 px-2 text-12 text-ink-2">
      <Dot state={face.dot} />
      <span className="flex-1">{face.word}</span>
      <span className="text-ink-3">{face.note}</span>
    </div>
  )
}

/** The connection as a mark only, where there is no room for words. */
export function ConnectionDot({ className }: { className?: string }) {
  const now = useNow()
  const face = useConnectionFace(now)
  const label = `${face.word} ${face.note}`.trim()
  return (
    <span
      role="status"
      aria-label={label}
      title={face.title ?? label}
      className={cx('grid place-items-center', className)}
    >
      <Dot state={face.dot} />
    </span>
  )
}

function useConnectionFace(now: number): {
  dot: 'on' | 'retrying' | 'off'
  word: string
  note: string
  title?: string
} {
  const state = useConnection()
  switch (state.kind) {
    case 'connected':
      return {
        dot: 'on',
        word: 'Connected',
        note: state.latencyMs === undefined ? '' : `${state.latencyMs} ms`,
        ...(state.testedAt === undefined
          ? {}
          : { title: `The relay answered a test message ${longSpan(now - state.testedAt)} ago` }),
      }
    case 'idle':
      return { dot: 'retrying', word: 'Connecting', note: '' }
    case 'connecting':
      return { dot: 'retrying', word: 'Connecting', note: '' }
    case 'reconnecting':
      return { dot: 'retrying', word: 'Reconnecting', note: longSpan(now - state.since) }
    case 'refused':
      return { dot: 'off', word: 'Logged out', note: '', title: state.message }
    default:
      return state satisfies never
  }
}
