import { z } from 'zod'

/** The one closed list of error codes, each with the HTTP status it is shown as. */
export const ERROR_STATUS = {
  /** No token, or one that is unknown, expired or revoked. */
  UNAUTHORIZED: 401,
  /** The token is valid and its role or scope does not allow this. */
  FORBIDDEN: 403,
  /** The input does not fit the schema. */
  INVALID_INPUT: 400,
  /** No procedure or command of that name. */
  UNKNOWN_COMMAND: 404,
  /** No orchestrator of that id, or none at all. */
  ORCHESTRATOR_NOT_FOUND: 404,
  /** The orchestrator is known and not connected now. */
  ORCHESTRATOR_OFFLINE: 503,
  /** The name is taken, or the same commandId came with different content. */
  CONFLICT: 409,
  /** No project, session, command or token of that id. */
  NOT_FOUND: 404,
  /** A command answered something that does not fit its declared output. */
  INVALID_OUTPUT: 502,
  /** A command ran and failed. */
  EXEC_ERROR: 500,
  /** It took longer than allowed. */
  TIMEOUT: 504,
  /** The command's time to live ran out before it started; it never will. */
  EXPIRED: 410,
  /** It started, and could be neither finished nor fully undone. */
  INTERRUPTED: 500,
  /** It was cancelled by a person. */
  CANCELLED: 409,
  /** Removing this would lose work; the details name it. */
  WORK_AT_RISK: 409,
  /** A limit was reached. With a number in `details.retryAfterMs` it can be asked again as it is. */
  LIMIT: 429,
  /** The connection did not read fast enough and was closed; resume from the last position. */
  SLOW_CONSUMER: 503,
  /** The session's process does not run, and this needs it to. */
  NOT_RUNNING: 409,
  /** The agent is not installed, or has no credential. */
  AGENT_NOT_READY: 409,
  /** An isolation could not be set up, so nothing was started. */
  ISOLATION_UNAVAILABLE: 503,
  /** The other side speaks an older or newer protocol. */
  UPGRADE_REQUIRED: 426,
  /** Nothing was done, and it may work later. With a number in `details.retryAfterMs` it can be asked again as it is. */
  UNAVAILABLE: 503,
  /** A defect of ours; the log holds the details under the request's id. */
  INTERNAL: 500,
} as const

/** One of the closed list of error codes. */
export type ErrorCode = keyof typeof ERROR_STATUS

const codes = Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]

/** Schema of {@link ErrorCode}. */
export const errorCodeSchema = z.enum(codes)

/** An error as it crosses the wire: what happened, why, what to do; never a stack. */
export const wireErrorSchema = z.object({
  code: errorCodeSchema,
  message: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
})
export type WireError = z.infer<typeof wireErrorSchema>

/** The one error class of the platform: a code of the closed list and a message for a person. */
export class AioError extends Error {
  override readonly name = 'AioError'
  readonly code: ErrorCode
  /** Facts for programs, such as what would be lost; never secrets. */
  readonly details: Record<string, unknown> | undefined

  constructor(code: ErrorCode, message: string, options?: { details?: Record<string, unknown>; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options?.details
  }

  /** The error as data for the wire. */
  toWire(): WireError {
    return { code: this.code, message: this.message, ...(this.details === undefined ? {} : { details: this.details }) }
  }

  /** Makes the error again from what came over the wire. */
  static fromWire(error: WireError): AioError {
    return new AioError(error.code, error.message, error.details === undefined ? {} : { details: error.details })
  }
}

/** Turns anything thrown into an {@link AioError}; what is not ours becomes INTERNAL and keeps its cause for the log. */
export function toAioError(thrown: unknown, fallback: ErrorCode = 'INTERNAL'): AioError {
  if (thrown instanceof AioError) return thrown
  if (thrown instanceof z.ZodError) return new AioError('INVALID_INPUT', describeIssues(thrown), { cause: thrown })
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new AioError(fallback, message, { cause: thrown })
}

/** One sentence per problem of an input, each beginning with the field it is about. */
export function describeIssues(error: z.ZodError): string {
  const lines = error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.map(String).join('.')
    return path === '' ? issue.message : `${path}: ${issue.message}`
  })
  const more = error.issues.length - lines.length
  return lines.join(' ') + (more > 0 ? ` And ${more} more.` : '')
}
