import { type Question, questionSchema } from '@ai-orchestration/protocol'
import { useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'
import { ulid } from 'ulid'
import type { FleetState } from '../relay/fleet-state.ts'
import { readError } from '../relay/read-error.ts'
import { createStore, useStore } from '../relay/store.ts'
import { trpc } from '../relay/trpc.ts'
import { SETTLED_KEY } from '../relay/use-fleet.ts'

/** What this page is doing about a question. */
export type Answering =
  | { kind: 'sending'; optionId: string }
  /** Somebody else was first, or nobody can answer it any more. */
  | { kind: 'late' }
  | { kind: 'failed'; message: string }

const store = createStore<Readonly<Record<string, Answering>>>({})

/** What this page is doing about a question, if anything. */
export function useAnswering(questionId: string): Answering | undefined {
  return useStore(store, {})[questionId]
}

/** Answers a question: it shows as answered at once, and as what it is when that turns out otherwise. */
export function useAnswer(): (question: Question, optionId: string, text?: string) => Promise<boolean> {
  const { client } = trpc.useUtils()
  const cache = useQueryClient()
  return useCallback(
    async (question, optionId, text) => {
      const set = (value: Answering) => store.set({ ...store.get(), [question.id]: value })
      const settle = (settled: Question) =>
        cache.setQueryData<FleetState['settled']>(SETTLED_KEY, (known = {}) => ({ ...known, [settled.id]: settled }))
      if (store.get()[question.id]?.kind === 'sending') return false
      set({ kind: 'sending', optionId })
      try {
        settle(
          await client.inbox.answer.mutate({
            ...{ questionId: question.id, optionId, commandId: ulid() },
            ...(text === undefined ? {} : { text }),
          }),
        )
        return true
      } catch (thrown) {
        const error = readError(thrown)
        const settled = questionSchema.safeParse({ ...question, ...error.details })
        if (error.code === 'CONFLICT') {
          if (settled.success && settled.data.state !== 'pending') settle(settled.data)
          set({ kind: 'late' })
        } else set({ kind: 'failed', message: error.message })
        return false
      }
    },
    [client, cache],
  )
}
