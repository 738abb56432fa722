import { AioError, type ErrorCode, type Principal, type Role, toAioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { type ClientRole, isClientRole } from '../auth/client-role.ts'
import { describeScope, isLimited } from '../auth/scope.ts'
import type { Context } from '../context.ts'

/** Who may call a procedure: anyone at all, any client with a token, or a role. */
export type Access = 'public' | 'client' | Role

const NOBODY: Principal = { tokenId: 'none', name: 'nobody', roles: [] }
const RANK: Record<ClientRole, number> = { viewer: 1, operator: 2, admin: 3 }

const text = z.string().optional().catch(undefined) // what is malformed is for the procedure to refuse
const namesSchema = z.object({ projectId: text, sessionId: text, orchestratorId: text })

/** Who calls, when their role allows it. @throws AioError UNAUTHORIZED, FORBIDDEN */
export function admit(ctx: Context, access: Access, path: string): Principal {
  if (access === 'public') return NOBODY
  let principal: Principal
  try {
    principal = ctx.authenticate()
  } catch (error) {
    logRefusal(ctx, path, toAioError(error).code)
    throw error
  }
  if (allows(principal.roles, access)) return principal
  recordRefusal(ctx, principal, { path })
  const has = principal.roles.join(' and ') || 'no role'
  const needs = access === 'client' ? 'viewer, operator or admin' : access
  throw new AioError(
    'FORBIDDEN',
    `This needs the role ${needs} and the token "${principal.name}" has ${has}. An admin can make one with: aio tokens create`,
  )
}

/** Tells whether one of the roles allows the access; machines' roles include no client's, and no client's role includes theirs. */
export function allows(roles: readonly Role[], access: Access): boolean {
  if (access === 'public') return true
  if (!isClient(access)) return roles.includes(access)
  const needed = access === 'client' ? RANK.viewer : RANK[access]
  return roles.some((role) => isClientRole(role) && RANK[role] >= needed)
}

/** Tells whether a client's call has to be looked at for its token's limits. */
export function isLimitedClient(principal: Principal, access: Access): boolean {
  return isLimited(principal) && isClient(access)
}

/**
 * Refuses a limited token everything but what it may see of what the input names; with limited projects, a project or session
 * has to be named.
 *
 * @throws AioError NOT_FOUND or ORCHESTRATOR_NOT_FOUND, exactly as of what does not exist; FORBIDDEN when nothing is named.
 */
export function refuseOutOfScope(
  ctx: Context,
  principal: Principal,
  { input, path }: { input: unknown; path: string },
): void {
  try {
    requireNamed(ctx, principal, input)
  } catch (error) {
    recordRefusal(ctx, principal, { path, outcome: toAioError(error).code })
    throw error
  }
}

/** Keeps that someone tried what they may not, also of calls that are not audited otherwise. */
export function recordRefusal(
  ctx: Context,
  principal: Principal,
  { path, outcome = 'FORBIDDEN' }: { path: string; outcome?: ErrorCode },
): void {
  logRefusal(ctx, path, outcome)
  const { audit, refusals } = ctx.services
  if (refusals.failed(principal.tokenId)) return // nobody fills the disk by asking
  audit.begin({ principal, call: path, requestId: ctx.requestId(), address: ctx.address })(outcome)
}

// One who guesses may not fill the log with anything of their choosing.
function logRefusal(ctx: Context, call: string, outcome: ErrorCode): void {
  ctx.services.log.warn({ requestId: ctx.requestId(), call, address: ctx.address, outcome }, 'call refused')
}

function requireNamed(ctx: Context, principal: Principal, input: unknown): void {
  const fleet = ctx.services.fleet.seenBy(principal)
  const { projectId, sessionId, orchestratorId } = namesSchema.safeParse(input).data ?? {}
  if (projectId !== undefined) fleet.requireProject(projectId)
  if (sessionId !== undefined) fleet.requireSession(sessionId)
  if (orchestratorId !== undefined) fleet.requireOrchestrator(orchestratorId)
  const byProject = projectId ?? sessionId
  if ((principal.projects === undefined ? (byProject ?? orchestratorId) : byProject) !== undefined) return
  throw new AioError(
    'FORBIDDEN',
    `The token "${principal.name}" is limited to ${describeScope(principal)}, and this concerns more than that. Ask an admin.`,
  )
}

function isClient(access: Access): access is 'client' | ClientRole {
  return access === 'client' || (access !== 'public' && isClientRole(access))
}
