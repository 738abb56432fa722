import type { TerminalItem } from '@ai-orchestration/protocol'
import type { Terminal } from '@ai-orchestration/sdk'
import { type RefObject, useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { readError } from '../relay/read-error.ts'
import { clientGeneration, relayClient } from '../relay/relay-client.ts'
import { type Cells, Screen } from './screen.ts'

/** What stands around the screen: its size and who set it, what was skipped, what went wrong. */
export interface TerminalFacts {
  size: Cells | undefined
  isMySize: boolean
  skippedBytes: number
  problem: string | undefined
  isAttached: boolean
}

/** A session's terminal on the page. */
export interface SessionTerminalHandle {
  facts: TerminalFacts
  screen: RefObject<Screen | undefined>
  type: (data: string) => void
  /** Gives the session the size of this window. */
  claimSize: () => void
}

const NONE: TerminalFacts = { size: undefined, isMySize: true, skippedBytes: 0, problem: undefined, isAttached: false }

/** How long a change of the window's size settles before it is sent, in milliseconds. */
const RESIZE_SETTLE_MS = 120

/** Shows a session's terminal in an element: replay, live bytes, keys, and the size of the last active viewer. */
export function useSessionTerminal(
  host: RefObject<HTMLElement | null>,
  { sessionId, canType, input }: { sessionId: string; canType: boolean; input: (data: string) => string },
): SessionTerminalHandle {
  const generation = useSyncExternalStore(clientGeneration.subscribe, clientGeneration.get, () => 0)
  const [facts, setFacts] = useState(NONE)
  const screen = useRef<Screen>(undefined)
  const terminal = useRef<Terminal>(undefined)
  const wanted = useRef<Cells>(undefined)
  const shown = useRef<Cells>(undefined)
  const latest = useRef({ canType, input })
  latest.current = { canType, input }

  const claimSize = useCallback(() => {
    const cells = screen.current?.fitting()
    if (cells === undefined || terminal.current === undefined || !latest.current.canType) return
    wanted.current = cells
    if (isSame(cells, shown.current)) return
    void terminal.current
      .resize(cells.cols, cells.rows)
      .catch((thrown: unknown) => setFacts((now) => ({ ...now, problem: readError(thrown).message })))
  }, [])

  const type = useCallback(
    (data: string) => {
      if (terminal.current === undefined || !latest.current.canType) return
      // Whoever types is the last active viewer.
      if (!isSame(wanted.current, shown.current)) claimSize()
      void terminal.current
        .write(latest.current.input(data))
        .catch((thrown: unknown) => setFacts((now) => ({ ...now, problem: readError(thrown).message })))
    },
    [claimSize],
  )

  useEffect(() => {
    const element = host.current
    if (element === null) return
    const made = new Screen(element, type)
    screen.current = made
    return () => {
      made.dispose()
      screen.current = undefined
    }
  }, [host, type])

  useEffect(() => {
    const stop = new AbortController()
    setFacts(NONE)
    const show = async (item: TerminalItem) => {
      const target = screen.current
      if (target === undefined) return
      switch (item.type) {
        case 'replay':
          target.terminal.reset()
          resized(target, item)
          setFacts((now) => ({ ...now, isAttached: true, problem: undefined }))
          return target.write(item.data)
        case 'data':
          return target.write(item.data)
        case 'resized':
          return resized(target, item)
        case 'truncated':
          return setFacts((now) => ({ ...now, skippedBytes: now.skippedBytes + item.bytes }))
        case 'exit':
          return setFacts((now) => ({ ...now, isAttached: false }))
        default:
          return item satisfies never
      }
    }
    const resized = (target: Screen, { cols, rows }: Cells) => {
      shown.current = { cols, rows }
      target.show({ cols, rows })
      setFacts((now) => ({ ...now, size: { cols, rows }, isMySize: isSame(wanted.current, shown.current) }))
    }
    const run = async () => {
      await screen.current?.ready
      if (stop.signal.aborted) return
      const size =
        document.visibilityState === 'visible' && latest.current.canType ? screen.current?.fitting() : undefined
      wanted.current = size
      try {
        const opened = await relayClient().terminal(sessionId, {
          signal: stop.signal,
          ...(size === undefined ? {} : { size }),
        })
        terminal.current = opened
        for await (const item of opened) {
          if (stop.signal.aborted) return
          await show(item)
        }
      } catch (thrown) {
        if (!stop.signal.aborted) setFacts((now) => ({ ...now, isAttached: false, problem: readError(thrown).message }))
      }
    }
    void run()
    return () => {
      stop.abort()
      terminal.current = undefined
    }
  }, [sessionId, generation])

  useEffect(() => {
    const element = host.current
    if (element === null) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const observer = new ResizeObserver(() => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        // A window in the background follows; the one a person looks at decides.
        if (document.hasFocus() || wanted.current === undefined || isSame(wanted.current, shown.current)) claimSize()
        else screen.current?.fitting()
      }, RESIZE_SETTLE_MS)
    })
    observer.observe(element)
    return () => {
      clearTimeout(timer)
      observer.disconnect()
    }
  }, [host, claimSize])

  return { facts, screen, type, claimSize }
}

function isSame(a: Cells | undefined, b: Cells | undefined): boolean {
  return a?.cols === b?.cols && a?.rows === b?.rows
}
