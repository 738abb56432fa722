import type { AioEvent } from '@ai-orchestration/protocol'
import { useQueryClient } from '@tanstack/react-query'
import { getQueryKey } from '@trpc/react-query'
import { type ReactNode, useEffect, useState, useSyncExternalStore } from 'react'
import { connection } from './connection.ts'
import { useDeviceToken } from './device-token.ts'
import { applyEvent, type FleetState } from './fleet-state.ts'
import { clientGeneration, reconnectNow, relayClient } from './relay-client.ts'
import { createStore, useStore } from './store.ts'
import { trpc } from './trpc.ts'
import { COMMANDS_KEY, SETTLED_KEY } from './use-fleet.ts'

/** How often the way to the relay and back is tested, and how long an answer may take, in milliseconds. */
const TEST_EVERY_MS = 10_000
const TEST_SOON_MS = 1_000
const TEST_DEADLINE_MS = 6_000

/** How long "Connected again" stays, in milliseconds. */
const NOTICE_MS = 7_000

/** Wait before the event stream is opened again after it failed for a reason of its own, in milliseconds. */
const STREAM_RETRY_MS = 2_000

/** By then the SDK has opened the event stream again after a reconnect, in milliseconds. */
const STREAM_REOPENED_MS = 2_500

const ORCHESTRATORS_KEY = getQueryKey(trpc.orchestrators.list, undefined, 'query')
const PROJECTS_KEY = getQueryKey(trpc.projects.list, undefined, 'query')
const SESSIONS_KEY = getQueryKey(trpc.sessions.list, undefined, 'query')
const QUESTIONS_KEY = getQueryKey(trpc.inbox.list, undefined, 'query')

const notice = createStore<string | undefined>(undefined)

/** What the page says shortly after it is connected again. */
export function useNotice(): string | undefined {
  return useStore(notice, undefined)
}

/** Connects at once instead of waiting for the next attempt. */
export function useTryNow(): () => void {
  return reconnectNow
}

/** Keeps the query cache live: one event stream writes into it, and the connection is tested end to end. */
export function RelayProvider({ children }: { children: ReactNode }) {
  const token = useDeviceToken()
  const generation = useSyncExternalStore(clientGeneration.subscribe, clientGeneration.get, () => 0)
  const write = useEventWriter()
  const cache = useQueryClient()
  const utils = trpc.useUtils()
  const [isFollowing, setFollowing] = useState(false)
  useEffect(() => {
    if (token === null) {
      // What another login may see is not for this one.
      position = undefined
      cache.clear()
    }
    if (typeof token !== 'string' || generation < 0) return
    const stop = new AbortController()
    void follow(write, stop.signal)
    void testConnection(stop.signal)
    setFollowing(true)
    return () => stop.abort()
  }, [token, generation, write, cache])
  useReconnectNotice()
  useListsAfterReconnect(utils)
  // The stream is asked for before any list is, so that no change can fall between the two.
  return isFollowing || typeof token !== 'string' ? children : null
}

/** Asks for the lists again after a reconnect: a stream that had yielded nothing yet cannot resume from anywhere. */
function useListsAfterReconnect(utils: ReturnType<typeof trpc.useUtils>): void {
  useEffect(() => {
    let was = connection.get().kind
    let timer: ReturnType<typeof setTimeout> | undefined
    const load = () => {
      void utils.orchestrators.list.invalidate()
      void utils.projects.list.invalidate()
      void utils.sessions.list.invalidate()
      void utils.inbox.list.invalidate()
    }
    const stop = connection.subscribe(() => {
      const is = connection.get().kind
      if (was === 'reconnecting' && is === 'connected') {
        load()
        clearTimeout(timer)
        if (position === undefined) timer = setTimeout(load, STREAM_REOPENED_MS)
      }
      was = is
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [utils])
}

let position: string | undefined
let missed = 0
let hadGap = false

async function follow(write: (event: AioEvent) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const events = relayClient().events(position === undefined ? {} : { after: position }, { signal })
      for await (const event of events) {
        position = event.position
        missed += 1
        hadGap ||= event.type === 'gap'
        write(event)
      }
    } catch (thrown) {
      if (signal.aborted || connection.get().kind === 'refused') return
      if (connection.get().kind === 'connected')
        console.warn('The event stream ended and is opened again.', thrown instanceof Error ? thrown.message : thrown)
    }
    await new Promise((resolve) => setTimeout(resolve, STREAM_RETRY_MS))
  }
}

/** Writes events into the query cache; a list that was asked for and has not come yet is asked for again. */
function useEventWriter(): (event: AioEvent) => void {
  const utils = trpc.useUtils()
  const cache = useQueryClient()
  // Both live as long as the page, so the writer is made once.
  const [write] = useState(() => (event: AioEvent) => {
    const before: FleetState = {
      orchestrators: utils.orchestrators.list.getData(),
      projects: utils.projects.list.getData(),
      sessions: utils.sessions.list.getData(),
      questions: utils.inbox.list.getData(),
      settled: cache.getQueryData<FleetState['settled']>(SETTLED_KEY) ?? {},
      commands: cache.getQueryData<FleetState['commands']>(COMMANDS_KEY) ?? {},
    }
    const after = applyEvent(before, event)
    if (after.orchestrators !== before.orchestrators) cache.setQueryData(ORCHESTRATORS_KEY, after.orchestrators)
    if (after.projects !== before.projects) cache.setQueryData(PROJECTS_KEY, after.projects)
    if (after.sessions !== before.sessions) cache.setQueryData(SESSIONS_KEY, after.sessions)
    if (after.questions !== before.questions) cache.setQueryData(QUESTIONS_KEY, after.questions)
    if (after.settled !== before.settled) cache.setQueryData(SETTLED_KEY, after.settled)
    if (after.commands !== before.commands) cache.setQueryData(COMMANDS_KEY, after.commands)
    if (before.orchestrators === undefined && event.type.startsWith('orchestrator_'))
      void utils.orchestrators.list.invalidate()
    if (before.projects === undefined && event.type.startsWith('project_')) void utils.projects.list.invalidate()
    if (before.sessions === undefined && event.type.startsWith('session_')) void utils.sessions.list.invalidate()
    if (before.questions === undefined && event.type.startsWith('question_')) void utils.inbox.list.invalidate()
    if (event.type === 'gap') void utils.commands.list.invalidate()
  })
  return write
}

async function testConnection(signal: AbortSignal): Promise<void> {
  // The first answer waits behind everything that a page asks for when it opens, so the second one comes soon.
  let hasTested = false
  while (!signal.aborted) {
    const isDue = document.visibilityState === 'visible' && connection.get().kind === 'connected'
    if (isDue) await testOnce(signal)
    const waitMs = isDue && hasTested ? TEST_EVERY_MS : TEST_SOON_MS
    hasTested ||= isDue
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

async function testOnce(signal: AbortSignal): Promise<void> {
  const start = performance.now()
  const since = Date.now()
  const late = setTimeout(() => {
    // The socket looks open and nothing answers: to a person that is not a connection.
    if (connection.get().kind === 'connected') connection.set({ kind: 'reconnecting', since, attempt: 0 })
  }, TEST_DEADLINE_MS)
  try {
    await relayClient().auth.whoami.query(undefined, { signal })
    const now = connection.get()
    if (now.kind === 'connected' || now.kind === 'reconnecting')
      connection.set({
        kind: 'connected',
        since: now.since,
        latencyMs: Math.max(1, Math.round(performance.now() - start)),
        testedAt: Date.now(),
      })
  } catch {
    // A test that fails shows in the connection's status, which the socket reports itself.
  } finally {
    clearTimeout(late)
  }
}

function useReconnectNotice(): void {
  useEffect(() => {
    let was = connection.get().kind
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = connection.subscribe(() => {
      const is = connection.get().kind
      if (is === was) return
      if (is === 'reconnecting') {
        missed = 0
        hadGap = false
      }
      if (was === 'reconnecting' && is === 'connected') {
        clearTimeout(timer)
        // The events of the meantime arrive right after the connection.
        timer = setTimeout(() => {
          notice.set(noticeText())
          timer = setTimeout(() => notice.set(undefined), NOTICE_MS)
        }, 400)
      }
      was = is
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [])
}

function noticeText(): string {
  if (hadGap) return 'Some events of the meantime are no longer kept. Everything shown was loaded anew.'
  if (position === undefined) return 'Everything shown was loaded anew.'
  if (missed === 0) return 'Nothing happened meanwhile.'
  return `${missed} ${missed === 1 ? 'event' : 'events'} came in, none lost.`
}
