import {
  AioError,
  commandIdSchema,
  ERROR_STATUS,
  type ErrorCode,
  type Principal,
  type Role,
} from '@ai-orchestration/protocol'
import { initTRPC } from '@trpc/server'
import type { Context } from '../context.ts'
import { explain } from './errors.ts'

/** Who may call a procedure: anyone at all, any client with a token, or a role. */
export type Access = 'public' | 'client' | Role

/** What every procedure declares of itself. */
export interface Meta {
  access: Access
  /** True for calls that come many times a second and change no state worth an audit line, such as keystrokes. */
  isFrequent?: boolean
}

/** The `data` of every error that crosses the wire. */
export interface ErrorData {
  code: ErrorCode
  httpStatus: number
  path?: string
  details?: Record<string, unknown>
}

const t = initTRPC
  .context<Context>()
  .meta<Meta>()
  .create({
    isDev: false,
    errorFormatter({ shape, error, path }) {
      const { code, message, details } = explain(error)
      const data: ErrorData = {
        code,
        httpStatus: ERROR_STATUS[code],
        ...(path === undefined ? {} : { path: path.slice(0, 200) }),
        ...(details === undefined ? {} : { details }),
      }
      return { code: shape.code, message, data }
    },
  })

/** Makes a router; the only way to get a procedure into one is {@link procedure}, which demands an access. */
export const router = t.router

function calling(access: Access, isFrequent: boolean) {
  return t.procedure.meta({ access, isFrequent }).use(async ({ ctx, type, path, next, getRawInput }) => {
    const principal = admitOrLog(ctx, access, path)
    if (type === 'subscription' && ctx.peer === undefined)
      throw new AioError('INVALID_INPUT', 'Subscriptions are served over the WebSocket at /ws, not over HTTP.')
    if (type !== 'mutation' || isFrequent) return next({ ctx: { ...ctx, principal } })
    const { audit, log } = ctx.services
    const commandId = commandIdOf(await getRawInput())
    const begin = () => audit.begin({ principal, call: path, commandId, address: ctx.address })
    // Strangers may not fill the disk: of a public call only one that got through is kept.
    const end = access === 'public' ? undefined : begin()
    const result = await next({ ctx: { ...ctx, principal } })
    const outcome = result.ok ? 'ok' : explain(result.error).code
    if (end !== undefined) end(outcome)
    else if (result.ok) begin()(outcome)
    log.info(
      { requestId: ctx.requestId(), call: path, tokenId: principal.tokenId, by: principal.name, outcome },
      'state-changing call',
    )
    return result
  })
}

/**
 * The base of a procedure. Access is checked at every call, not once per connection, so that a revoked token stops at once.
 *
 * @throws AioError UNAUTHORIZED or FORBIDDEN, at the call.
 */
export function procedure(access: Access, options: { isFrequent?: boolean } = {}) {
  return calling(access, options.isFrequent ?? false)
}

function commandIdOf(input: unknown): string | undefined {
  const given: unknown = typeof input === 'object' && input !== null ? Reflect.get(input, 'commandId') : undefined
  return commandIdSchema.safeParse(given).data
}

const NOBODY: Principal = { tokenId: 'none', name: 'nobody', roles: [] }
const RANK: Record<Exclude<Role, 'orchestrator'>, number> = { viewer: 1, operator: 2, admin: 3 }

// Who tries what they may not is worth a line, and one who guesses may not fill the log with anything of their choosing.
function admitOrLog(ctx: Context, access: Access, path: string): Principal {
  try {
    return admit(ctx, access)
  } catch (error) {
    const outcome = error instanceof AioError ? error.code : 'INTERNAL'
    ctx.services.log.warn({ requestId: ctx.requestId(), call: path, address: ctx.address, outcome }, 'call refused')
    throw error
  }
}

function admit(ctx: Context, access: Access): Principal {
  if (access === 'public') return NOBODY
  const principal = ctx.authenticate()
  if (allows(principal.roles, access)) return principal
  const has = principal.roles.join(' and ') || 'no role'
  const needs = access === 'client' ? 'viewer, operator or admin' : access
  throw new AioError(
    'FORBIDDEN',
    `This needs the role ${needs} and the token "${principal.name}" has ${has}. An admin can make one with: aio tokens create`,
  )
}

/** Tells whether one of the roles allows the access; `orchestrator` includes no client role, and no client role includes it. */
export function allows(roles: readonly Role[], access: Access): boolean {
  if (access === 'public') return true
  if (access === 'orchestrator') return roles.includes('orchestrator')
  const needed = access === 'client' ? RANK.viewer : RANK[access]
  return roles.some((role) => role !== 'orchestrator' && RANK[role] >= needed)
}
