import { type Orchestrator, orchestratorIdSchema, titleSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { createEnrollCode } from '../auth/enrollment.ts'
import { procedure, router } from './trpc.ts'

/** The machines. */
export const orchestratorsRouter = router({
  list: procedure('viewer', { handlesScope: true }).query(({ ctx }): Orchestrator[] =>
    ctx.services.fleet.seenBy(ctx.principal).orchestrators(),
  ),
  /** A code for `aio orchestrator --enroll`. */
  enroll: procedure('admin')
    .input(
      z
        .strictObject({
          /** Of the token that the machine gets. */
          name: titleSchema.optional(),
          /** The machine that it takes the place of, or that it is already and needs a new key. */
          replaces: orchestratorIdSchema.optional(),
        })
        .optional(),
    )
    .mutation(
      ({ ctx, input }): Promise<{ code: string; tokenId: string; expiresAt: string }> =>
        createEnrollCode(ctx.services, { name: input?.name, replaces: input?.replaces }),
    ),
})
