import { AioError, describeIssues, type WireError } from '@ai-orchestration/protocol'
import type { TRPCError } from '@trpc/server'
import { z } from 'zod'

/** Says any error of a call in our closed list of codes, with a message for a person and never a stack. */
export function explain(error: TRPCError): WireError {
  const cause: unknown = error.cause
  if (cause instanceof AioError) return cause.toWire()
  if (cause instanceof z.ZodError && error.code === 'BAD_REQUEST')
    return { code: 'INVALID_INPUT', message: describeIssues(cause) }
  return fromTrpc(error)
}

function fromTrpc(error: TRPCError): WireError {
  switch (error.code) {
    case 'PARSE_ERROR':
    case 'BAD_REQUEST':
    case 'UNPROCESSABLE_CONTENT':
    case 'UNSUPPORTED_MEDIA_TYPE':
      return { code: 'INVALID_INPUT', message: 'The request is not a well-formed call. See docs/protocol.md.' }
    case 'NOT_FOUND':
    case 'METHOD_NOT_SUPPORTED':
      return {
        code: 'UNKNOWN_COMMAND',
        message: 'There is no procedure of that name and kind. See docs/protocol.md for the list.',
      }
    case 'PAYLOAD_TOO_LARGE':
    case 'TOO_MANY_REQUESTS':
      return { code: 'LIMIT', message: 'The request is larger than allowed. Split it into smaller ones.' }
    case 'UNAUTHORIZED':
      return { code: 'UNAUTHORIZED', message: 'A valid token is needed. Log in again with: aio login' }
    case 'FORBIDDEN':
      return { code: 'FORBIDDEN', message: 'This token does not allow that.' }
    case 'TIMEOUT':
    case 'GATEWAY_TIMEOUT':
      return { code: 'TIMEOUT', message: 'The call took longer than allowed. Try again.' }
    default:
      return {
        code: 'INTERNAL',
        message: 'The relay failed at this call; its log says why. Try again, and report it if it stays.',
      }
  }
}
