import { RefreshCw, Unplug, WifiOff } from 'lucide-react'
import { useConnection } from '../relay/connection.ts'
import { useNotice, useTryNow } from '../relay/relay-provider.tsx'
import { Button } from '../ui/button.tsx'
import { clockTime, useNow } from '../ui/time.tsx'

/** One line under the bar while the page is not connected, and shortly after it is again. */
export function Banner() {
  const state = useConnection()
  const notice = useNotice()
  const tryNow = useTryNow()
  const now = useNow()
  if (state.kind === 'reconnecting') {
    const waitS = state.nextAttemptAt === undefined ? 0 : Math.max(0, Math.ceil((state.nextAttemptAt - now) / 1_000))
    return (
      <div
        role="status"
        className="flex min-h-10 flex-none items-center gap-2.5 border-b border-needs-line bg-needs-soft px-5 py-1.5 max-md:px-4"
      >
        <WifiOff className="text-needs" />
        <p className="min-w-0 flex-1">
          <b className="font-semibold">Reconnecting since {clockTime(state.since)}.</b>{' '}
          <span className="text-ink-2">
            Sessions keep running on their machines. This page shows what was known then.
          </span>
        </p>
        <span className="text-12 text-ink-2 max-md:hidden">
          Attempt {state.attempt + 1}
          {waitS > 0 && ` in ${waitS} s`}
        </span>
        <Button size="sm" onClick={tryNow}>
          Try now
        </Button>
      </div>
    )
  }
  if (state.kind === 'connecting') {
    if (now - state.since < 4_000) return null
    return (
      <div role="status" className="flex min-h-10 flex-none items-center gap-2.5 border-b border-line-1 px-5 py-1.5">
        <Unplug className="text-ink-3" />
        <p className="min-w-0 flex-1">
          <b className="font-semibold">The relay does not answer yet.</b>{' '}
          <span className="text-ink-2">Check that it runs and that this machine can reach it.</span>
        </p>
        <Button size="sm" onClick={tryNow}>
          Try now
        </Button>
      </div>
    )
  }
  if (notice === undefined) return null
  return (
    <div
      role="status"
      className="animate-fade flex min-h-10 flex-none items-center gap-2.5 border-b border-line-1 px-5 py-1.5"
    >
      <RefreshCw className="text-ink-3" />
      <p className="min-w-0 flex-1">
        <b className="font-semibold">Connected again.</b> <span className="text-ink-2">{notice}</span>
      </p>
    </div>
  )
}
