import { AioError, type Enrollment, hostStatement, LIMITS, type Principal } from '@ai-orchestration/protocol'
import type { Services } from '../services.ts'
import { isSignedBy } from './host-key.ts'

type Rooms = Pick<Services, 'tokens' | 'fleet'>

/** A code that one machine can join with, once, within fifteen minutes. @throws AioError LIMIT, ORCHESTRATOR_NOT_FOUND for one to replace that is not known */
export async function createEnrollCode(
  { tokens, fleet }: Rooms,
  { name, replaces }: { name: string | undefined; replaces: string | undefined },
): Promise<{ code: string; tokenId: string; expiresAt: string }> {
  if (replaces !== undefined) fleet.requireOrchestrator(replaces)
  const ttlMs = LIMITS.enrollCodeTtlMs
  const expiresAt = new Date(Date.now() + ttlMs).toISOString()
  const { token, info } = await tokens.create({
    role: 'enroll',
    name: name ?? 'new orchestrator',
    ttlMs,
    ...(replaces === undefined ? {} : { orchestrators: [replaces] }),
  })
  return { code: token, tokenId: info.id, expiresAt }
}

/**
 * Makes the holder of a code an orchestrator: it gets a token that is bound to its id and its key. Of two who try with the same
 * code exactly one does.
 *
 * @throws AioError FORBIDDEN, CONFLICT when a machine of this id is known; UNAUTHORIZED for a code that was used.
 */
export async function enroll(
  { tokens, fleet }: Rooms,
  principal: Principal,
  { orchestratorId, publicKey, facts, signature }: Enrollment,
): Promise<{ token: string; tokenId: string }> {
  const text = hostStatement('enroll', { challenge: publicKey, orchestratorId, facts })
  if (!isSignedBy(publicKey, { text, signature }))
    throw new AioError(
      'FORBIDDEN',
      'The enrollment was not signed with its own key. Update the orchestrator, then try again.',
    )
  const { orchestrators } = principal
  if (orchestrators !== undefined && !orchestrators.includes(orchestratorId))
    throw new AioError(
      'FORBIDDEN',
      `This code is for the orchestrator ${orchestrators.join()}, and this is ${orchestratorId}.`,
    )
  const former = tokens.enrolledAs(orchestratorId)
  if (orchestrators === undefined && (former.length > 0 || fleet.knows(orchestratorId)))
    throw new AioError(
      'CONFLICT',
      `The relay knows an orchestrator ${orchestratorId} already. If this machine is that one or takes its place, ask for a code with: aio orchestrators enroll --replace ${orchestratorId}. If its AIO_HOME is a copy, remove AIO_HOME/orchestrator first.`,
    )
  // Up to here nothing was waited for: whoever comes second finds the code used.
  const made = await tokens.spend(principal.tokenId, () =>
    tokens.create({
      role: 'orchestrator',
      name: principal.name,
      orchestrators: [orchestratorId],
      host: { publicKey, facts },
    }),
  )
  for (const tokenId of former) await tokens.revoke(tokenId)
  return { token: made.token, tokenId: made.info.id }
}
