import { type Principal, roleSchema, titleSchema, VERSION } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { ownOrWeaker } from '../auth/client-role.ts'
import { exchange } from '../auth/exchange.ts'
import { procedure, router } from './trpc.ts'

const deviceName = titleSchema.optional()
const secret = z.string().min(1).max(1_024)

/** What a login answers; the token is shown this once. */
export interface Exchanged {
  token: string
  tokenId: string
  roles: Principal['roles']
}

/** Who one is, logging in and out. */
export const authRouter = router({
  whoami: procedure('client', { handlesScope: true }).query(({ ctx }): Principal & { relayVersion: string } => ({
    ...ctx.principal,
    relayVersion: VERSION,
  })),
  exchange: procedure('public')
    .input(z.union([z.strictObject({ code: secret, deviceName }), z.strictObject({ token: secret, deviceName })]))
    .mutation(({ ctx, input }): Promise<Exchanged> => exchange(ctx, input)),
  createCode: procedure('client', { handlesScope: true })
    .input(z.strictObject({ role: roleSchema.exclude(['orchestrator', 'enroll']).optional() }).optional())
    .mutation(({ ctx, input }): { code: string; expiresAt: string } =>
      ctx.services.codes.create(ownOrWeaker(ctx.principal, input?.role), ctx.principal.tokenId),
    ),
  logout: procedure('client', { handlesScope: true }).mutation(async ({ ctx }): Promise<Record<string, never>> => {
    await ctx.services.tokens.logout(ctx.principal.tokenId)
    return {}
  }),
})
