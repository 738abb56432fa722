import {
  AioError,
  commandIdSchema,
  ERROR_STATUS,
  type ErrorCode,
  type Principal,
  type Role,
  toAioError,
} from '@ai-orchestration/protocol'
import { initTRPC, type TRPCError } from '@trpc/server'
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
    const startedAt = performance.now()
    const { audit, calls, log } = ctx.services
    const principal = admitted(ctx, { access, isFrequent, type, path, startedAt })
    if (type !== 'mutation' || isFrequent) {
      const result = await next({ ctx: { ...ctx, principal } })
      calls.ended(path, result.ok ? 'ok' : explain(result.error).code, startedAt)
      return result.ok ? result : told(result, ctx, path)
    }
    // One id from the client to the script: that of the command, where there is one.
    const requestId = commandIdOf(await getRawInput()) ?? ctx.givenId ?? ctx.requestId()
    const here = { ...ctx, principal, requestId: () => requestId }
    const begin = () => audit.begin({ principal, call: path, requestId, address: ctx.address })
    // Strangers may not fill the disk: of a public call only one that got through is kept.
    const end = access === 'public' ? undefined : begin()
    const result = await next({ ctx: here })
    const outcome = result.ok ? 'ok' : explain(result.error).code
    calls.ended(path, outcome, startedAt)
    if (end !== undefined) end(outcome)
    else if (result.ok) begin()(outcome)
    log.info({ requestId, call: path, tokenId: principal.tokenId, by: principal.name, outcome }, 'state-changing call')
    return result.ok ? result : told(result, here, path)
  })
}

/** What a failed call is answered; a defect of ours goes to the log, and its caller learns under which id. */
function told<Failed extends { error: TRPCError }>(result: Failed, ctx: Context, call: string): Failed {
  const { error } = result
  if (error.cause instanceof AioError || explain(error).code !== 'INTERNAL') return result
  const requestId = ctx.requestId()
  ctx.services.log.error({ err: error.cause ?? error, requestId, call }, 'a call failed unexpectedly')
  throw new AioError(
    'INTERNAL',
    `The relay failed at this call; its log says why, under the request id ${requestId}. Try again, and report it if it stays.`,
    { details: { requestId } },
  )
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

const CONGESTED_RETRY_MS = 1_000
const NOBODY: Principal = { tokenId: 'none', name: 'nobody', roles: [] }
const RANK: Record<Exclude<Role, 'orchestrator'>, number> = { viewer: 1, operator: 2, admin: 3 }

interface Asked {
  access: Access
  isFrequent: boolean
  type: 'query' | 'mutation' | 'subscription'
  path: string
  startedAt: number
}

function admitted(ctx: Context, { access, isFrequent, type, path, startedAt }: Asked): Principal {
  const { calls, draining, log, storage } = ctx.services
  try {
    const principal = admit(ctx, access)
    // Machines may still say how what is under way ended: somebody waits for it.
    if (draining.isOn && access !== 'orchestrator') throw draining.refusal()
    if (type === 'mutation' && !isFrequent && storage.isCongested) throw congested()
    if (type === 'subscription' && ctx.peer === undefined)
      throw new AioError('INVALID_INPUT', 'Subscriptions are served over the WebSocket at /ws, not over HTTP.')
    return principal
  } catch (error) {
    const { code } = toAioError(error)
    calls.ended(path, code, startedAt)
    // Who tries what they may not is worth a line, and one who guesses may not fill the log with anything of their choosing.
    if (code === 'UNAUTHORIZED' || code === 'FORBIDDEN')
      log.warn({ requestId: ctx.requestId(), call: path, address: ctx.address, outcome: code }, 'call refused')
    throw error
  }
}

function congested(): AioError {
  return new AioError(
    'UNAVAILABLE',
    "The relay's disk does not keep up, so nothing was started. Try again in a moment; if it stays, look at the health of its disk.",
    { details: { retryAfterMs: CONGESTED_RETRY_MS } },
  )
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
