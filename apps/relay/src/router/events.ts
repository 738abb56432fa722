import { type AioEvent, eventFilterSchema, positionSchema } from '@ai-orchestration/protocol'
import { type TrackedEnvelope, tracked } from '@trpc/server'
import { procedure, router } from './trpc.ts'

/** The one ordered, resumable stream of what happens. */
export const eventsRouter = router({
  watch: procedure('viewer')
    .input(eventFilterSchema.extend({ lastEventId: positionSchema.optional() }).optional())
    .subscription(({ ctx, input, signal }): AsyncGenerator<TrackedEnvelope<AioEvent>, void> => {
      const { lastEventId, after, ...filter } = input ?? {}
      // Started here and not in the generator: what happens from this moment on is delivered (E-4).
      const items = ctx.services.watch.open(filter, lastEventId ?? after, { peer: ctx.peer, signal })
      return (async function* () {
        for await (const { id, event } of items) yield tracked(id, event)
      })()
    }),
})
