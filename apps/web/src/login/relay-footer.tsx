import { useEffect, useState } from 'react'
import { relayHost } from '../relay/address.ts'
import { type Health, health } from '../relay/login.ts'
import { Dot } from '../ui/dot.tsx'

/** How often the relay is asked whether it is there, in milliseconds. */
const ASK_EVERY_MS = 5_000

/** Whether the relay can be reached from here, which one it is, and its version. */
export function RelayFooter() {
  const [answer, setAnswer] = useState<Health | 'asking' | 'unreachable'>('asking')
  const [host, setHost] = useState('')
  useEffect(() => {
    const stop = new AbortController()
    setHost(relayHost())
    const ask = async () => {
      const got = await health(stop.signal)
      if (!stop.signal.aborted) setAnswer(got ?? 'unreachable')
    }
    void ask()
    const timer = setInterval(() => void ask(), ASK_EVERY_MS)
    return () => {
      stop.abort()
      clearInterval(timer)
    }
  }, [])
  const words =
    answer === 'asking'
      ? 'Looking for the relay'
      : answer === 'unreachable'
        ? 'Relay not reachable'
        : `Relay reachable, ${answer.latencyMs} ms`
  return (
    <footer className="flex h-12 items-center justify-center gap-2 text-12 text-ink-3">
      <Dot state={answer === 'asking' ? 'retrying' : answer === 'unreachable' ? 'off' : 'on'} />
      <span role="status">{words}</span>
      {host !== '' && (
        <>
          <span aria-hidden="true">·</span>
          <span>{host}</span>
        </>
      )}
      {typeof answer === 'object' && answer.version !== '' && (
        <>
          <span aria-hidden="true">·</span>
          <span>{answer.version}</span>
        </>
      )}
    </footer>
  )
}
