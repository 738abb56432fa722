import { roleSchema, scopeSchema, type TokenInfo, titleSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { whyUseless } from '../auth/scope.ts'
import { procedure, router } from './trpc.ts'

const TTL_MAX_MS = 10 * 365 * 24 * 3_600_000 // ten years; beyond that, leave it out
const tokenId = z.string().min(1).max(64)

/** Tokens, for admins. */
export const tokensRouter = router({
  create: procedure('admin')
    .input(
      z
        .strictObject({
          role: roleSchema.exclude(['enroll']),
          name: titleSchema,
          ttlMs: z.number().int().min(1).max(TTL_MAX_MS).optional(),
          ...scopeSchema.shape,
        })
        .superRefine((wanted, context) => {
          const message = whyUseless(wanted)
          if (message !== undefined) context.addIssue({ code: 'custom', message })
        }),
    )
    .mutation(({ ctx, input }): Promise<{ token: string; info: TokenInfo }> => ctx.services.tokens.create(input)),
  /** `null` lifts a limit; what is absent stays. Connections with this token close. */
  change: procedure('admin')
    .input(
      z.strictObject({
        tokenId,
        role: roleSchema.exclude(['orchestrator', 'enroll']).optional(),
        projects: scopeSchema.shape.projects.nullable(),
        orchestrators: scopeSchema.shape.orchestrators.nullable(),
      }),
    )
    .mutation(
      ({ ctx, input: { tokenId: id, ...change } }): Promise<TokenInfo> => ctx.services.tokens.change(id, change),
    ),
  list: procedure('admin').query(({ ctx }): TokenInfo[] => ctx.services.tokens.list()),
  revoke: procedure('admin')
    .input(z.strictObject({ tokenId }))
    .mutation(({ ctx, input }): Promise<TokenInfo> => ctx.services.tokens.revoke(input.tokenId)),
})
