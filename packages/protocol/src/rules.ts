import { z } from 'zod'
import { timestampSchema } from './domain.ts'
import { projectIdSchema, sessionIdSchema } from './ids.ts'

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/

/** Id of a rule: a ULID. */
export const ruleIdSchema = z
  .string()
  .regex(ULID, { error: 'A rule id is a ULID of 26 characters; `aio rules list` lists them.' })

/** Who did something: the name of the token, and which one it was. */
export const actorSchema = z.object({ name: z.string(), tokenId: z.string().optional() })
export type Actor = z.infer<typeof actorSchema>

/** How far a rule, or an answer that makes one, reaches. */
export const ruleScopeSchema = z.enum(['session', 'project'])
export type RuleScope = z.infer<typeof ruleScopeSchema>

/** What a rule is about. */
export const ruleMatchSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('egress'), host: z.string().max(253), port: z.number().int() }),
  z.object({ kind: z.literal('tool'), tool: z.string().max(200) }),
])
export type RuleMatch = z.infer<typeof ruleMatchSchema>

/** A standing answer, made by a person; it holds until it is revoked or its session or project is removed. */
export const ruleSchema = z.object({
  id: ruleIdSchema,
  projectId: projectIdSchema,
  /** Absent when it holds for every session of the project. */
  sessionId: sessionIdSchema.optional(),
  match: ruleMatchSchema,
  verdict: z.enum(['allow', 'deny']),
  createdAt: timestampSchema,
  by: actorSchema,
  /** The question whose answer made it. */
  questionId: z.string().regex(ULID).optional(),
})
export type Rule = z.infer<typeof ruleSchema>

/** Which rules to list. */
export const ruleFilterSchema = z.strictObject({
  projectId: projectIdSchema.optional(),
  sessionId: sessionIdSchema.optional(),
})
