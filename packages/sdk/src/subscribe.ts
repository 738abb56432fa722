import type { TRPCClientError, TRPCUntypedClient } from '@trpc/client'
import { asAioError } from './client-error.ts'
import type { Sink } from './resuming-stream.ts'
import type { AppRouter } from './router.ts'

/**
 * Opens one subscription and reports to a sink, the loss of its socket included, so that whoever resumes does so with
 * fresh input instead of having the old one sent again.
 *
 * @returns what stops it.
 */
export function subscribe(
  client: TRPCUntypedClient<AppRouter>,
  path: string,
  input: unknown,
  sink: Sink<unknown>,
): () => void {
  let hadSocket = false
  const subscription = client.subscription(path, input, {
    onStarted: () => sink.started?.(),
    onData: (value: unknown) => sink.item(value),
    onError: (error: TRPCClientError<AppRouter>) => sink.failed(asAioError(error)),
    onComplete: () => sink.ended(),
    onConnectionStateChange: ({ state }) => {
      if (state === 'pending') hadSocket = true
      else if (hadSocket) sink.lost()
    },
  })
  return () => subscription.unsubscribe()
}
