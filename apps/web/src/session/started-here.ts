import { type CommandInput, sessionIdOf } from '@ai-orchestration/protocol'
import { useRouter } from 'next/router'
import { useCallback } from 'react'
import { ulid } from 'ulid'
import { type ReadError, readError } from '../relay/read-error.ts'
import { createStore, useStore } from '../relay/store.ts'
import { trpc } from '../relay/trpc.ts'

/** Input of a new session. */
export type NewSession = CommandInput<'create_session'>

/** A session that this page has asked for, so that its page is there before the machine answers. */
export interface StartedHere {
  commandId: string
  input: NewSession
  /** ISO 8601. */
  at: string
  /** How it failed, when it did. */
  error?: ReadError
}

const store = createStore<Readonly<Record<string, StartedHere>>>({})

/** What this page asked for under this session id. */
export function useStartedHere(sessionId: string): StartedHere | undefined {
  return useStore(store, {})[sessionId]
}

/** Asks for a new session and goes to its page at once; how it went shows there. */
export function useStartSession(): (input: NewSession) => void {
  const { client } = trpc.useUtils()
  const router = useRouter()
  return useCallback(
    (input) => {
      const sessionId = sessionIdOf(input.projectId, input.name)
      const started: StartedHere = { commandId: ulid(), input, at: new Date().toISOString() }
      const keep = (value: StartedHere) => store.set({ ...store.get(), [sessionId]: value })
      keep(started)
      void router.push(`/sessions/${sessionId}`)
      client.sessions.create
        .mutate({ ...input, commandId: started.commandId })
        .catch((thrown: unknown) => keep({ ...started, error: readError(thrown) }))
    },
    [client, router],
  )
}
