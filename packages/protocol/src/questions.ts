import { z } from 'zod'
import { timestampSchema } from './domain.ts'
import { orchestratorIdSchema, projectIdSchema, sessionIdSchema } from './ids.ts'
import { LIMITS } from './limits.ts'
import { plainValueSchema } from './plain-value.ts'
import { actorSchema, ruleScopeSchema } from './rules.ts'
import { budgetSchema, usageSchema } from './usage.ts'

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/

/** Id of a question: a ULID, made by the orchestrator that asks. */
export const questionIdSchema = z
  .string()
  .regex(ULID, { error: 'A question id is a ULID of 26 characters; `aio inbox` lists them.' })
/** One way to answer. `style` says what it means, so that every client can offer it in its own words and colours. */
export const questionOptionSchema = z.object({
  id: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,59}$/),
  label: z.string().max(LIMITS.titleMaxChars),
  style: z.enum(['allow', 'deny', 'neutral']),
  /** It also makes a rule, which answers the same question from then on. */
  always: ruleScopeSchema.optional(),
})
export type QuestionOption = z.infer<typeof questionOptionSchema>

/** `pending` waits for a person. The others are final: `withdrawn` when it no longer matters, `expired` when its time is over. */
export const questionStateSchema = z.enum(['pending', 'answered', 'withdrawn', 'expired'])
export type QuestionState = z.infer<typeof questionStateSchema>

const asked = {
  id: questionIdSchema,
  sessionId: sessionIdSchema,
  projectId: projectIdSchema,
  orchestratorId: orchestratorIdSchema,
  createdAt: timestampSchema,
  /** One sentence for a person; made of what an agent said, so it is data and nothing else. */
  title: z.string().min(1).max(LIMITS.questionTitleMaxChars),
  options: z.array(questionOptionSchema).min(1).max(20),
  state: questionStateSchema,
  /** When nobody answers by then it becomes `expired`; it waits for ever when absent. */
  expiresAt: timestampSchema.optional(),
  answer: z
    .object({
      optionId: z.string(),
      /** What the person wrote besides, such as why not. */
      text: z.string().max(LIMITS.answerTextMaxChars).optional(),
      by: actorSchema,
      at: timestampSchema,
    })
    .optional(),
}

/** A host that a session wants to reach and that no list names. */
export const egressDetailSchema = z.object({
  host: z.string().max(253),
  port: z.number().int().min(1).max(65_535),
  /** `https` is a tunnel, of which nothing more is known. */
  protocol: z.enum(['https', 'http']),
})

/** A tool that an agent wants to use. */
export const toolDetailSchema = z.object({
  /** The agent's own id of the call. */
  toolCallId: z.string().max(200),
  /** Names the request, so that it is asked once however often it is read. */
  key: z.string().max(200),
  /** The tool's name, which rules go by. */
  tool: z.string().max(200),
  /** What it is to be called with; clients show it as text. */
  input: plainValueSchema.optional(),
  /** Files it is about, as the agent names them. */
  locations: z
    .array(z.object({ path: z.string().max(4_096), line: z.number().int().optional() }))
    .max(100)
    .optional(),
})

/** Something the agent itself asks. */
export const agentDetailSchema = z.object({
  text: z.string().max(LIMITS.questionTextMaxChars),
  /** True when an answer may carry `text` of the person's own. */
  takesText: z.boolean(),
  /** Names the question, so that it is asked once however often it is read. */
  key: z.string().max(200).optional(),
})

/** A budget that is used up; the session waits, frozen. */
export const budgetDetailSchema = z.object({
  /** Whose budget it is. */
  scope: ruleScopeSchema,
  budget: budgetSchema,
  usage: usageSchema,
  /** Which limit was reached. */
  reached: z.enum(['tokens', 'costUsd', 'turns', 'minutes']),
})

/**
 * A question to a person: made once, answered once, kept until then over the end of any process. All kinds share one inbox;
 * `kind` says what `detail` holds.
 */
export const questionSchema = z.discriminatedUnion('kind', [
  z.object({ ...asked, kind: z.literal('egress'), detail: egressDetailSchema }),
  z.object({ ...asked, kind: z.literal('tool'), detail: toolDetailSchema }),
  z.object({ ...asked, kind: z.literal('agent'), detail: agentDetailSchema }),
  z.object({ ...asked, kind: z.literal('budget'), detail: budgetDetailSchema }),
])
export type Question = z.infer<typeof questionSchema>
export type QuestionKind = Question['kind']

/** What a client sends to answer. */
export const answerInputSchema = z.strictObject({
  questionId: questionIdSchema,
  optionId: z.string().min(1).max(60),
  text: z
    .string()
    .max(LIMITS.answerTextMaxChars, { error: `A text has at most ${LIMITS.answerTextMaxChars} characters.` })
    .optional(),
})

/** What the inbox is asked for; absent fields mean all, an absent state means those that wait. */
export const inboxFilterSchema = z.strictObject({
  sessionId: sessionIdSchema.optional(),
  projectId: projectIdSchema.optional(),
  state: questionStateSchema.optional(),
})
export type InboxFilter = z.infer<typeof inboxFilterSchema>
