import type { AuditRecord } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** Who changed what. */
export const auditRouter = router({
  list: procedure('admin')
    .input(
      z
        .strictObject({
          limit: z.number().int().min(1).max(1_000).optional(),
          /** Records older than the one of this id. */
          before: z.number().int().min(1).optional(),
        })
        .optional(),
    )
    .query(({ ctx, input }): AuditRecord[] =>
      ctx.services.audit.list({ limit: input?.limit ?? 100, before: input?.before }),
    ),
})
