import '@xterm/xterm/css/xterm.css'
import { Copy } from 'lucide-react'
import { useCallback, useEffect, useRef, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { useRoleReason } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { toastDone, toastFailed } from '../ui/toast.ts'
import { KeyRow, type Latch } from './key-row.tsx'
import { afterKey, controlOf } from './latched-key.ts'
import { useSessionTerminal } from './use-session-terminal.ts'

/** A session's terminal: a line about it, the screen, and on phones the keys that a phone lacks. */
export function TerminalView(props: { sessionId: string; isOver: boolean; lastLines: string[] | undefined }) {
  const host = useRef<HTMLDivElement>(null)
  const place = useRef<HTMLElement>(null)
  const [latch, setLatch] = useState<Latch>('off')
  const latched = useRef(latch)
  latched.current = latch
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const canType = role === undefined && !props.isOver

  const withLatch = useCallback((data: string) => {
    if (latched.current === 'off') return data
    setLatch(afterKey(latched.current))
    return controlOf(data)
  }, [])
  const { facts, screen, type, claimSize } = useSessionTerminal(host, {
    sessionId: props.sessionId,
    canType,
    input: withLatch,
  })

  // A terminal that is taller than its place shows its end, which is where things happen.
  useEffect(() => {
    if (facts.size !== undefined || props.isOver) place.current?.scrollTo({ top: place.current.scrollHeight })
  }, [facts.size, props.isOver])

  const copy = async () => {
    const terminal = screen.current?.terminal
    if (terminal === undefined) return
    const text = terminal.hasSelection() ? terminal.getSelection() : screenText(terminal)
    try {
      await navigator.clipboard.writeText(text)
      toastDone(terminal.hasSelection() ? 'The selection was copied' : 'The screen was copied')
    } catch (thrown) {
      toastFailed('Nothing was copied', thrown)
    }
  }
  const onKey = (sequence: string, arrow?: string) => {
    type(arrow === undefined ? sequence : (screen.current?.arrow(arrow) ?? sequence))
  }

  return (
    <div className="flex min-h-0 flex-1 flex-col bg-term">
      <div className="flex h-10 flex-none items-center gap-3 border-b border-line-1 bg-surface-1 pr-3 pl-5 text-12 whitespace-nowrap text-ink-2 max-md:h-11 max-md:pr-1 max-md:pl-4">
        <SizeLine facts={facts} isOver={props.isOver} isOffline={offline !== undefined} />
        {!facts.isMySize && canType && facts.size !== undefined && (
          <Button
            kind="ghost"
            size="sm"
            disabledReason={offline}
            onClick={claimSize}
            className="max-md:!px-2 max-md:!text-13"
          >
            Fit<span className="max-md:sr-only"> to my window</span>
          </Button>
        )}
        {role !== undefined && <span className="text-ink-3">{role}</span>}
        <span className="flex-1" />
        <Button
          kind="ghost"
          size="sm"
          aria-label="Copy the screen or the selection"
          onClick={() => void copy()}
          className="max-md:!px-3"
        >
          <Copy className="icon-14" />
          <span className="max-md:hidden">Copy</span>
        </Button>
      </div>
      {facts.skippedBytes > 0 && (
        <p className="flex flex-none items-center gap-3 bg-term px-4 py-1.5 text-12 text-ink-2 before:w-6 before:border-t before:border-dashed before:border-line-3 after:flex-1 after:border-t after:border-dashed after:border-line-3">
          {bytesText(facts.skippedBytes)} of output skipped, to keep up with the program
        </p>
      )}
      <section
        ref={place}
        aria-label="Terminal"
        onPointerDown={() => screen.current?.terminal.focus()}
        className={cx(
          'relative min-h-0 flex-1 overflow-auto px-4 py-2.5 max-md:px-2.5',
          offline !== undefined && 'opacity-60',
        )}
      >
        <div ref={host} className="h-full w-full" />
        {facts.problem !== undefined && (
          <div className="absolute inset-0 overflow-auto bg-term p-4">
            <p role="alert" className="mb-3 text-ink-2">
              {props.isOver ? 'The terminal of this session is gone. Its last lines were these.' : facts.problem}
            </p>
            {props.lastLines !== undefined && (
              <pre className="font-mono text-code whitespace-pre-wrap text-term-ink">{props.lastLines.join('\n')}</pre>
            )}
          </div>
        )}
      </section>
      {canType && (
        <KeyRow latch={latch} onLatch={setLatch} onKey={onKey} onKeyboard={() => screen.current?.terminal.focus()} />
      )}
    </div>
  )
}

function SizeLine({
  facts,
  isOver,
  isOffline,
}: {
  facts: ReturnType<typeof useSessionTerminal>['facts']
  isOver: boolean
  isOffline: boolean
}) {
  if (isOver) return <span>Ended</span>
  if (facts.size === undefined) return <span>{facts.problem === undefined ? 'Attaching' : 'Not attached'}</span>
  return (
    <span className="min-w-0 truncate">
      {facts.size.cols} × {facts.size.rows}, sized by{' '}
      <span className="text-ink-1">{facts.isMySize ? 'this window' : 'another viewer'}</span>
      {isOffline && <span className="text-needs">, as of before the connection was lost</span>}
    </span>
  )
}

function bytesText(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1_000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}

function screenText(terminal: {
  rows: number
  buffer: {
    active: { viewportY: number; getLine: (y: number) => { translateToString: (trim: boolean) => string } | undefined }
  }
}): string {
  const { active } = terminal.buffer
  const lines = Array.from(
    { length: terminal.rows },
    (_, row) => active.getLine(active.viewportY + row)?.translateToString(true) ?? '',
  )
  return lines.join('\n').trimEnd()
}
