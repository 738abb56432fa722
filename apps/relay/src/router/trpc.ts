import {
  AioError,
  commandIdSchema,
  ERROR_STATUS,
  type ErrorCode,
  type Principal,
  toAioError,
} from '@ai-orchestration/protocol'
import { initTRPC, type TRPCError } from '@trpc/server'
import type { Context } from '../context.ts'
import { type Access, admit, isLimitedClient, recordRefusal, refuseOutOfScope } from './access.ts'
import { explain } from './errors.ts'

/** What every procedure declares of itself. */
export interface Meta {
  access: Access
  /** True for calls that come many times a second and change no state worth an audit line, such as keystrokes. */
  isFrequent?: boolean
  /**
   * True for procedures that keep to the caller's scope themselves, because they show a list or run a command. Any other is open
   * to a limited token only for the session, project or machine that its input names.
   */
  handlesScope?: boolean
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

function calling(access: Access, { isFrequent = false, handlesScope = false }: Omit<Meta, 'access'>) {
  return t.procedure.meta({ access, isFrequent, handlesScope }).use(async ({ ctx, type, path, next, getRawInput }) => {
    const startedAt = performance.now()
    const { audit, calls, log } = ctx.services
    const asked = { access, isFrequent, type, path, startedAt }
    const principal = admitted(ctx, asked)
    if (!handlesScope && isLimitedClient(principal, access)) inScope(ctx, principal, asked, await getRawInput())
    if (type !== 'mutation' || isFrequent) {
      const result = await next({ ctx: { ...ctx, principal } })
      const code = result.ok ? 'ok' : explain(result.error).code
      calls.ended(path, code, startedAt)
      if (code === 'FORBIDDEN') recordRefusal(ctx, principal, { path })
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
 * @throws AioError UNAUTHORIZED, FORBIDDEN, or NOT_FOUND for what is out of the token's scope, at the call.
 */
export function procedure(access: Access, options: Omit<Meta, 'access'> = {}) {
  return calling(access, options)
}

function commandIdOf(input: unknown): string | undefined {
  const given: unknown = typeof input === 'object' && input !== null ? Reflect.get(input, 'commandId') : undefined
  return commandIdSchema.safeParse(given).data
}

const CONGESTED_RETRY_MS = 1_000

interface Asked {
  access: Access
  isFrequent: boolean
  type: 'query' | 'mutation' | 'subscription'
  path: string
  startedAt: number
}

function admitted(ctx: Context, { access, isFrequent, type, path, startedAt }: Asked): Principal {
  const { calls, draining, storage } = ctx.services
  try {
    const principal = admit(ctx, access, path)
    // Machines may still say how what is under way ended: somebody waits for it.
    if (draining.isOn && access !== 'orchestrator') throw draining.refusal()
    if (type === 'mutation' && !isFrequent && storage.isCongested) throw congested()
    if (type === 'subscription' && ctx.peer === undefined)
      throw new AioError('INVALID_INPUT', 'Subscriptions are served over the WebSocket at /ws, not over HTTP.')
    return principal
  } catch (error) {
    calls.ended(path, toAioError(error).code, startedAt)
    throw error
  }
}

function inScope(ctx: Context, principal: Principal, { path, startedAt }: Asked, input: unknown): void {
  try {
    refuseOutOfScope(ctx, principal, { input, path })
  } catch (error) {
    ctx.services.calls.ended(path, toAioError(error).code, startedAt)
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
