import { BUILT_IN_COMMANDS, commandIdSchema, inboxFilterSchema, type Question } from '@ai-orchestration/protocol'
import { procedure, router } from './trpc.ts'

/** What waits for a person, over all machines. */
export const inboxRouter = router({
  list: procedure('viewer', { handlesScope: true })
    .input(inboxFilterSchema.optional())
    .query(({ ctx, input }): Question[] => {
      const fleet = ctx.services.fleet.seenBy(ctx.principal)
      return ctx.services.inbox.list(input).filter((question) => fleet.sees(question))
    }),
  answer: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.answer_question.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Question> =>
        ctx.services.commands.call(
          ctx,
          'answer_question',
          { input, commandId },
          BUILT_IN_COMMANDS.answer_question.output,
        ),
    ),
})
