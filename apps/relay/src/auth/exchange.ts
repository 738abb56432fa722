import { AioError } from '@ai-orchestration/protocol'
import type { Context } from '../context.ts'
import { type ClientRole, clientRole } from './login-codes.ts'

const DEVICE_TTL_MS = 180 * 24 * 3_600_000 // half a year, then a device logs in again

type Credential = { code: string; deviceName?: string | undefined } | { token: string; deviceName?: string | undefined }

/**
 * Trades a one-time code, or a token that was pasted, for a token of this device that can be revoked by itself.
 *
 * A right credential always gets through; only wrong ones are counted, so that nobody can lock another out.
 *
 * @throws AioError UNAUTHORIZED, FORBIDDEN for an orchestrator's token, LIMIT after too many failures from one address.
 */
export async function exchange(ctx: Context, credential: Credential) {
  const role = roleOf(ctx, credential)
  const { token, info } = await ctx.services.tokens.create({
    role,
    name: credential.deviceName ?? 'device',
    ttlMs: DEVICE_TTL_MS,
  })
  return { token, tokenId: info.id, roles: [role] }
}

function roleOf(ctx: Context, credential: Credential): ClientRole {
  const { codes, tokens } = ctx.services
  if ('code' in credential) {
    const taken = codes.take(credential.code)
    if (taken === undefined)
      throw refusal(ctx, 'This login code is not valid: it was used, or is older than five minutes. Ask for a new one.')
    try {
      tokens.recheck(taken.madeBy)
    } catch {
      throw refusal(ctx, 'Whoever made this login code has been logged out since. Ask for a new one.')
    }
    return taken.role
  }
  const role = clientRole(verified(ctx, credential.token))
  if (role === undefined)
    throw new AioError('FORBIDDEN', 'This is the token of an orchestrator, which cannot log in. Use a client token.')
  return role
}

function verified(ctx: Context, token: string) {
  try {
    return ctx.services.tokens.verify(token).roles
  } catch (error) {
    if (error instanceof AioError) throw refusal(ctx, error.message)
    throw error
  }
}

function refusal(ctx: Context, message: string): AioError {
  return ctx.services.exchangeFailures.failed(ctx.address)
    ? new AioError('LIMIT', 'Too many failed logins from this address. Wait a minute, then try again.')
    : new AioError('UNAUTHORIZED', message)
}
