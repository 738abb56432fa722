import {
  LIMITS,
  offsetSchema,
  sessionIdSchema,
  type TerminalItem,
  terminalSizeSchema,
} from '@ai-orchestration/protocol'
import { type TrackedEnvelope, tracked } from '@trpc/server'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** A session's terminal: bytes down, keys up. */
export const terminalRouter = router({
  watch: procedure('viewer')
    .input(
      z.strictObject({
        sessionId: sessionIdSchema,
        /** The viewer's size, when it wants to set the session's; operators only. */
        size: terminalSizeSchema.optional(),
        after: offsetSchema.optional(),
        lastEventId: z
          .string()
          .regex(/^(0|[1-9][0-9]{0,15})$/)
          .optional(),
      }),
    )
    .subscription(({ ctx, input, signal }): AsyncGenerator<TrackedEnvelope<TerminalItem>, void> => {
      const { sessionId, size, lastEventId } = input
      const after = lastEventId === undefined ? input.after : Number(lastEventId)
      const items = ctx.services.streams.terminal(ctx.principal, { sessionId, size, after }, { peer: ctx.peer, signal })
      return (async function* () {
        for await (const item of items) yield tracked(String(item.offset), item)
      })()
    }),
  write: procedure('operator', { isFrequent: true })
    .input(z.strictObject({ sessionId: sessionIdSchema, data: z.string().max(LIMITS.terminalInputMaxChars) }))
    .mutation(({ ctx, input }): Record<string, never> => {
      ctx.services.streams.write(ctx.principal, input.sessionId, input.data)
      return {}
    }),
  resize: procedure('operator', { isFrequent: true })
    .input(z.strictObject({ sessionId: sessionIdSchema, ...terminalSizeSchema.shape }))
    .mutation(({ ctx, input: { sessionId, ...size } }): Record<string, never> => {
      ctx.services.streams.resize(ctx.principal, sessionId, size)
      return {}
    }),
})
