import { roleSchema, type TokenInfo, titleSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

const TTL_MAX_MS = 10 * 365 * 24 * 3_600_000 // ten years; beyond that, leave it out

/** Tokens, for admins. */
export const tokensRouter = router({
  create: procedure('admin')
    .input(
      z.strictObject({
        role: roleSchema,
        name: titleSchema,
        ttlMs: z.number().int().min(1).max(TTL_MAX_MS).optional(),
      }),
    )
    .mutation(({ ctx, input }): Promise<{ token: string; info: TokenInfo }> => ctx.services.tokens.create(input)),
  list: procedure('admin').query(({ ctx }): TokenInfo[] => ctx.services.tokens.list()),
  revoke: procedure('admin')
    .input(z.strictObject({ tokenId: z.string().min(1).max(64) }))
    .mutation(({ ctx, input }): Promise<TokenInfo> => ctx.services.tokens.revoke(input.tokenId)),
})
