import {
  type Command,
  commandIdSchema,
  commandNameSchema,
  LIMITS,
  orchestratorIdSchema,
  plainValueSchema,
  projectIdSchema,
  sessionIdSchema,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** What cancelling came to: it never starts, it is being stopped, or it had already ended. */
export type CancelOutcome = 'prevented' | 'stopping' | 'too-late'

/** Commands by name, custom ones included. */
export const commandsRouter = router({
  run: procedure('operator', { handlesScope: true })
    .input(
      z.strictObject({
        commandId: commandIdSchema,
        orchestratorId: orchestratorIdSchema.optional(),
        command: commandNameSchema,
        input: plainValueSchema,
        /** How long it may wait to be started, in milliseconds. When given, it also waits for an offline machine. */
        ttlMs: z.number().int().min(1).max(LIMITS.commandTtlMaxMs).optional(),
      }),
    )
    .mutation(({ ctx, input }): Promise<Command> => ctx.services.commands.run(ctx.principal, input)),
  get: procedure('viewer', { handlesScope: true })
    .input(z.strictObject({ commandId: commandIdSchema }))
    .query(({ ctx, input }): Command => ctx.services.commands.require(ctx.principal, input.commandId)),
  list: procedure('viewer', { handlesScope: true })
    .input(
      z
        .strictObject({
          limit: z.number().int().min(1).max(1_000).optional(),
          sessionId: sessionIdSchema.optional(),
          projectId: projectIdSchema.optional(),
        })
        .optional(),
    )
    .query(({ ctx, input }): Command[] => ctx.services.commands.list(ctx.principal, input ?? {})),
  cancel: procedure('operator', { handlesScope: true })
    .input(z.strictObject({ commandId: commandIdSchema }))
    .mutation(
      async ({ ctx, input }): Promise<{ outcome: CancelOutcome }> => ({
        outcome: await ctx.services.commands.cancel(ctx.principal, input.commandId),
      }),
    ),
})
