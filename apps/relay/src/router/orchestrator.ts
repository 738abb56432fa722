import {
  AioError,
  type Dispatch,
  enrollmentSchema,
  publicationSchema,
  type Registered,
  registrationSchema,
  type StreamOrder,
  streamFrameSchema,
} from '@ai-orchestration/protocol'
import type { TrackedEnvelope } from '@trpc/server'
import { z } from 'zod'
import { enroll } from '../auth/enrollment.ts'
import type { Handover } from '../delivery/handover.ts'
import { pour } from '../delivery/pour.ts'
import { nextTurn } from '../delivery/turn.ts'
import { procedure, router } from './trpc.ts'

const epoch = z.number().int()
/** Most stream frames in one call: the payload limit binds first. */
const FRAMES_MAX = 1_024

/** The side that machines speak; client tokens cannot reach it. */
export const orchestratorRouter = router({
  enroll: procedure('enroll')
    .input(enrollmentSchema)
    .mutation(
      ({ ctx, input }): Promise<{ token: string; tokenId: string }> => enroll(ctx.services, ctx.principal, input),
    ),
  challenge: procedure('orchestrator').query(({ ctx }): { challenge: string } => {
    if (ctx.peer === undefined)
      throw new AioError('INVALID_INPUT', 'An orchestrator registers over the WebSocket at /ws.')
    return { challenge: ctx.services.hostGuard.challenge(ctx.peer) }
  }),
  register: procedure('orchestrator')
    .input(registrationSchema)
    .mutation(({ ctx, input }): Registered => ctx.services.links.register(ctx.principal, ctx.peer, input)),
  commands: procedure('orchestrator')
    .input(z.strictObject({ epoch, lastEventId: z.string().max(100).optional() }))
    .subscription(({ ctx, input }): Handover<TrackedEnvelope<Dispatch>> => {
      const dispatches = ctx.services.links.dispatches({ principal: ctx.principal, peer: ctx.peer }, input.epoch)
      const idOf = ({ type, commandId }: Dispatch) => (type === 'run' ? commandId : `${commandId}:${type}`)
      return pour(dispatches, { peer: ctx.peer, idOf })
    }),
  publish: procedure('orchestrator', { isFrequent: true })
    .input(publicationSchema)
    .mutation(async ({ ctx, input }): Promise<Record<string, never>> => {
      // What the disk has no time for now waits in the orchestrator, which has a place for it.
      if (ctx.services.storage.isCongested) await ctx.services.storage.room()
      ctx.services.links.publish({ principal: ctx.principal, peer: ctx.peer }, input)
      // The orchestrator forgets them at this answer.
      await ctx.services.journal.settled()
      await nextTurn() // those who wait for what it says are told first
      return {}
    }),
  streams: procedure('orchestrator')
    .input(
      z.strictObject({
        epoch,
        /** As `register` answered it: shows that this connection is the same machine's. */
        linkKey: z.string().max(100).optional(),
        lastEventId: z.string().max(100).optional(),
      }),
    )
    .subscription(
      ({ ctx, input: { epoch: of, linkKey }, signal }): AsyncGenerator<StreamOrder, void> =>
        ctx.services.streams.orders({ principal: ctx.principal, peer: ctx.peer, linkKey }, of, signal),
    ),
  send: procedure('orchestrator', { isFrequent: true })
    .input(z.strictObject({ epoch, frames: z.array(streamFrameSchema).min(1).max(FRAMES_MAX) }))
    .mutation(({ ctx, input }): Record<string, never> => {
      ctx.services.streams.receive({ principal: ctx.principal, peer: ctx.peer }, input.epoch, input.frames)
      return {}
    }),
})
