import { AioError, type Principal } from '@ai-orchestration/protocol'
import type { Context } from '../context.ts'
import { type ClientRole, clientRole, ownOrWeaker } from './client-role.ts'

const DEVICE_TTL_MS = 180 * 24 * 3_600_000 // half a year, then a device logs in again

type Credential = { code: string; deviceName?: string | undefined } | { token: string; deviceName?: string | undefined }

/**
 * Trades a one-time code, or a token that was pasted, for a token of this device that can be revoked by itself.
 *
 * The new token has the limits of the one behind it, ends no later, and is revoked with it. A right credential always gets through; only wrong ones are counted, so that nobody can lock another out.
 *
 * @throws AioError UNAUTHORIZED, FORBIDDEN for an orchestrator's token, LIMIT after too many failures from one address.
 */
export async function exchange(ctx: Context, credential: Credential) {
  const { tokens } = ctx.services
  const { role, madeBy } = grantOf(ctx, credential)
  const bounds = tokens.boundsOf(madeBy, DEVICE_TTL_MS)
  const { token, info } = await tokens.create({ role, name: credential.deviceName ?? 'device', ...bounds })
  return { token, tokenId: info.id, roles: [role] }
}

function grantOf(ctx: Context, credential: Credential): { role: ClientRole; madeBy: string } {
  const { codes, tokens } = ctx.services
  if ('code' in credential) {
    const taken = codes.take(credential.code)
    if (taken === undefined)
      throw refusal(ctx, 'This login code is not valid: it was used, or is older than five minutes. Ask for a new one.')
    try {
      ownOrWeaker(tokens.recheck(taken.madeBy), taken.role)
    } catch {
      throw refusal(ctx, 'Whoever made this login code has been logged out or limited since. Ask for a new one.')
    }
    return taken
  }
  const { roles, tokenId } = verified(ctx, credential.token)
  const role = clientRole(roles)
  if (role !== undefined) return { role, madeBy: tokenId }
  throw new AioError(
    'FORBIDDEN',
    'This is the token of an orchestrator, or a code for one, which cannot log in. Use a client token.',
  )
}

function verified(ctx: Context, token: string): Principal {
  try {
    return ctx.services.tokens.verify(token)
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
