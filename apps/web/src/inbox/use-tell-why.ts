import { useCallback } from 'react'
import { ulid } from 'ulid'
import { trpc } from '../relay/trpc.ts'
import { useSessions } from '../relay/use-fleet.ts'
import { toastFailed } from '../ui/toast.ts'

/** Gives an agent a person's reason as its next prompt: its protocol has no word for it beside a no. */
export function useTellWhy(): (sessionId: string, text: string) => Promise<void> {
  const { client } = trpc.useUtils()
  const sessions = useSessions()
  return useCallback(
    async (sessionId, text) => {
      if (sessions?.find((each) => each.id === sessionId)?.interface !== 'chat') return
      try {
        await client.chat.prompt.mutate({ sessionId, text, commandId: ulid() })
      } catch (thrown) {
        toastFailed('The agent was not told why', thrown)
      }
    },
    [client, sessions],
  )
}
