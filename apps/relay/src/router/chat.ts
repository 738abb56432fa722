import {
  BUILT_IN_COMMANDS,
  type ChatEntry,
  type ChatItem,
  type CommandOutput,
  commandIdSchema,
  revisionSchema,
  sessionIdSchema,
} from '@ai-orchestration/protocol'
import { type TrackedEnvelope, tracked } from '@trpc/server'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** A session's conversation with its agent. */
export const chatRouter = router({
  watch: procedure('viewer')
    .input(
      z.strictObject({
        sessionId: sessionIdSchema,
        after: revisionSchema.optional(),
        lastEventId: z
          .string()
          .regex(/^(0|[1-9][0-9]{0,15})$/)
          .optional(),
      }),
    )
    .subscription(({ ctx, input, signal }): AsyncGenerator<TrackedEnvelope<ChatItem>, void> => {
      const { sessionId, lastEventId } = input
      const after = lastEventId === undefined ? input.after : Number(lastEventId)
      // Revision 0 stands for nothing seen yet.
      const items = ctx.services.streams.chat(
        ctx.principal,
        { sessionId, after: after === 0 ? undefined : after },
        { peer: ctx.peer, signal },
      )
      return (async function* () {
        for await (const item of items) yield tracked(String(item.rev), item)
      })()
    }),
  /** The entries before a place in the conversation, oldest first: what came before those that `watch` began with. */
  history: procedure('viewer')
    .input(
      z.strictObject({
        sessionId: sessionIdSchema,
        /** `order` of the oldest entry that is known. */
        before: z.number().int().positive(),
        limit: z.number().int().min(1).max(200).default(100),
      }),
    )
    .query(
      ({ ctx, input: { sessionId, ...page } }): Promise<ChatEntry[]> =>
        ctx.services.streams.chatPage(ctx.principal, { sessionId, page }, { peer: ctx.peer, signal: undefined }),
    ),
  prompt: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.prompt_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<CommandOutput<'prompt_session'>> =>
        ctx.services.commands.call(
          ctx,
          'prompt_session',
          { input, commandId },
          BUILT_IN_COMMANDS.prompt_session.output,
        ),
    ),
  cancel: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.cancel_prompt.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<CommandOutput<'cancel_prompt'>> =>
        ctx.services.commands.call(ctx, 'cancel_prompt', { input, commandId }, BUILT_IN_COMMANDS.cancel_prompt.output),
    ),
  setOption: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.set_chat_option.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<CommandOutput<'set_chat_option'>> =>
        ctx.services.commands.call(
          ctx,
          'set_chat_option',
          { input, commandId },
          BUILT_IN_COMMANDS.set_chat_option.output,
        ),
    ),
})
