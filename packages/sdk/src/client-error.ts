import { AioError, type ErrorCode, errorCodeSchema } from '@ai-orchestration/protocol'
import { TRPCClientError } from '@trpc/client'

/** Marks errors that say: the socket went away while this was under way, so its outcome is not known here. */
const CONNECTION_LOST = 'connection_lost'

/** Tells whether a value is an error of the platform, also when it comes from another copy of this package. */
export function isAioError(value: unknown): value is AioError {
  return (
    value instanceof AioError ||
    (value instanceof Error && value.name === 'AioError' && 'code' in value && isCode(value.code))
  )
}

/** Turns what a tRPC call threw into an {@link AioError} with the relay's code, message and details. */
export function asAioError(thrown: unknown): AioError {
  if (isAioError(thrown)) return thrown
  if (!(thrown instanceof TRPCClientError)) {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return new AioError('INTERNAL', message, { cause: thrown })
  }
  if (isAioError(thrown.cause)) return thrown.cause
  const data: unknown = thrown.data
  if (typeof data !== 'object' || data === null) return connectionLost(thrown)
  const code = 'code' in data && isCode(data.code) ? data.code : 'INTERNAL'
  const details = 'details' in data && isRecord(data.details) ? { details: data.details } : {}
  return new AioError(code, thrown.message, details)
}

/** The error of a call whose socket closed before it was answered. */
export function connectionLost(cause?: unknown): AioError {
  return new AioError('UNAVAILABLE', 'The connection to the relay was lost before it answered. Try again.', {
    details: { reason: CONNECTION_LOST },
    cause,
  })
}

/** Tells whether an error means that the socket went away while the call was under way. */
export function isConnectionLost(error: AioError): boolean {
  return error.code === 'UNAVAILABLE' && error.details?.['reason'] === CONNECTION_LOST
}

/** Tells whether the relay did nothing and says when to come again: it is restarting, or this was too much at once. */
export function isRefusedForNow(error: AioError): boolean {
  return (error.code === 'UNAVAILABLE' || error.code === 'LIMIT') && typeof error.details?.['retryAfterMs'] === 'number'
}

function isCode(value: unknown): value is ErrorCode {
  return errorCodeSchema.safeParse(value).success
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
