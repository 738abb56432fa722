import { AioError, type AioEvent, eventFilterSchema, positionSchema } from '@ai-orchestration/protocol'
import type { TrackedEnvelope } from '@trpc/server'
import type { Handover } from '../delivery/handover.ts'
import { procedure, router } from './trpc.ts'

/** The one ordered, resumable stream of what happens. */
export const eventsRouter = router({
  watch: procedure('viewer', { handlesScope: true })
    .input(eventFilterSchema.extend({ lastEventId: positionSchema.optional() }).optional())
    .subscription(({ ctx, input }): Handover<TrackedEnvelope<AioEvent>> => {
      const { lastEventId, after, ...filter } = input ?? {}
      const { peer } = ctx
      if (peer === undefined) throw new AioError('INVALID_INPUT', 'Events are served over the WebSocket at /ws.')
      // What happens from this moment on is delivered (E-4).
      return ctx.services.watch.open(ctx.principal, filter, { after: lastEventId ?? after, peer })
    }),
})
