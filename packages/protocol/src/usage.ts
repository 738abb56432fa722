import { z } from 'zod'

/** What an agent has used: tokens as the provider counts them, cost in US dollars where prices are known, time in milliseconds. */
export const usageSchema = z.object({
  inputTokens: z.number().nonnegative(),
  outputTokens: z.number().nonnegative(),
  cacheReadTokens: z.number().nonnegative(),
  cacheWriteTokens: z.number().nonnegative(),
  /** Calls of the model that were answered. */
  turns: z.number().int().nonnegative(),
  /** Sum of those calls whose price is known; absent when none is. An estimate: the provider's bill is what counts. */
  costUsd: z.number().nonnegative().optional(),
  /** Calls whose price is not known, so that the cost leaves them out. */
  unpricedTurns: z.number().int().nonnegative(),
  /** The model of the last call. */
  model: z.string().max(200).optional(),
})
export type Usage = z.infer<typeof usageSchema>

/** What may be used before a person is asked; absent fields have no limit. */
export const budgetSchema = z.strictObject({
  /** Input, output and both kinds of cached tokens together. */
  tokens: z.number().int().positive().optional(),
  costUsd: z.number().positive().optional(),
  turns: z.number().int().positive().optional(),
  /** Since the session was made. */
  minutes: z.number().positive().optional(),
})
export type Budget = z.infer<typeof budgetSchema>
