import { z } from 'zod'
import { timestampSchema } from './domain.ts'
import { sessionIdSchema } from './ids.ts'

/** One request at a session's door, as its log keeps it. */
export const egressRecordSchema = z.object({
  at: timestampSchema,
  host: z.string(),
  port: z.number().int(),
  /** `CONNECT` or an HTTP method. */
  method: z.string(),
  verdict: z.enum(['allowed', 'denied', 'failed']),
  /** Why, when it was not allowed. */
  reason: z.string().optional(),
  /** Status of the answer, where one is known. */
  status: z.number().int().optional(),
  bytesUp: z.number().nonnegative(),
  bytesDown: z.number().nonnegative(),
  /** From the request to its end, in milliseconds; a time on hold included. */
  ms: z.number().nonnegative(),
})
export type EgressRecord = z.infer<typeof egressRecordSchema>

/** What is asked of a session's egress log. */
export const egressInputSchema = z.strictObject({
  sessionId: sessionIdSchema,
  /** The latest so many; 200 when absent. */
  limit: z.number().int().min(1).max(1_000).optional(),
})
