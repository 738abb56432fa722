import { type AgentInfo, BUILT_IN_COMMANDS, commandIdSchema, orchestratorIdSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** Agents as each machine offers them. */
export const agentsRouter = router({
  list: procedure('viewer', { handlesScope: true })
    .input(z.strictObject({ orchestratorId: orchestratorIdSchema.optional() }).optional())
    .query(({ ctx, input }): { orchestratorId: string; agents: AgentInfo[] }[] =>
      ctx.services.fleet.seenBy(ctx.principal).agents(input?.orchestratorId),
    ),
  install: procedure('operator', { handlesScope: true })
    .input(
      BUILT_IN_COMMANDS.install_agent.input.extend({
        orchestratorId: orchestratorIdSchema.optional(),
        commandId: commandIdSchema.optional(),
      }),
    )
    .mutation(
      ({ ctx, input: { commandId, orchestratorId, ...input } }): Promise<AgentInfo> =>
        ctx.services.commands.call(
          ctx,
          'install_agent',
          { input, commandId, orchestratorId },
          BUILT_IN_COMMANDS.install_agent.output,
        ),
    ),
})
