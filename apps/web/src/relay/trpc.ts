import type { AppRouter } from '@ai-orchestration/sdk'
import { createTRPCNext } from '@trpc/next'
import { readError } from './read-error.ts'
import { presentClientLink } from './relay-client.ts'

/** Times that a query is asked again before its error is shown. */
const RETRIES = 4

/** The typed query hooks; they go over the one connection of the page. */
export const trpc = createTRPCNext<AppRouter>({
  ssr: false,
  config: () => ({
    links: [presentClientLink],
    queryClientConfig: {
      defaultOptions: {
        queries: {
          refetchOnWindowFocus: false,
          refetchOnReconnect: false,
          networkMode: 'always',
          retry: (failures, error) => readError(error).code === 'UNAVAILABLE' && failures < RETRIES,
        },
        mutations: { networkMode: 'always' },
      },
    },
  }),
})
