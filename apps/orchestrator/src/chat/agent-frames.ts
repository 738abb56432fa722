import { z } from 'zod'

/**
 * What an agent may send, as far as we use it. An agent is not trusted and protocols grow: what is not understood is
 * left out, field by field, and never ends the conversation.
 */
/** Text, text that may be missing or wrong, and what of a list can be understood. */
export const text = z.string()
export const optionalText = text.nullish().catch(undefined)
export const list = <T extends z.ZodType>(item: T) =>
  z
    .array(z.unknown())
    .catch([])
    .transform((values) =>
      values.flatMap((value): z.output<T>[] => {
        const parsed = item.safeParse(value)
        return parsed.success ? [parsed.data] : []
      }),
    )

const contentBlockSchema = z.looseObject({ type: text, text: optionalText, uri: optionalText, name: optionalText })
export type ContentBlock = z.output<typeof contentBlockSchema>

const toolContentSchema = z.looseObject({
  type: text,
  content: contentBlockSchema.optional().catch(undefined),
  path: optionalText,
  oldText: optionalText,
  newText: optionalText,
})
export type AgentToolContent = z.output<typeof toolContentSchema>

/** A tool call, whole or what has changed of it. */
export const toolCallSchema = z.looseObject({
  toolCallId: text,
  title: optionalText,
  name: optionalText,
  kind: optionalText,
  status: z.enum(['pending', 'in_progress', 'completed', 'failed']).nullish().catch(undefined),
  content: list(toolContentSchema).nullish().catch(undefined),
  locations: list(z.looseObject({ path: text, line: z.number().int().nullish().catch(undefined) }))
    .nullish()
    .catch(undefined),
  rawInput: z.unknown().optional(),
})
export type AgentToolCall = z.output<typeof toolCallSchema>

const valueSchema = z.looseObject({ value: text, name: text, description: optionalText })
const optionSchema = z.looseObject({
  id: text,
  name: text,
  category: optionalText,
  currentValue: z.union([text, z.boolean()]),
  options: list(z.union([valueSchema, z.looseObject({ options: list(valueSchema) })]))
    .optional()
    .catch(undefined),
})
export type AgentOption = z.output<typeof optionSchema>

const modesSchema = z.looseObject({
  currentModeId: text,
  availableModes: list(z.looseObject({ id: text, name: text, description: optionalText })),
})

const chunk = { content: contentBlockSchema, messageId: optionalText }

/** One `session/update`. */
export const updateSchema = z.discriminatedUnion('sessionUpdate', [
  z.looseObject({ sessionUpdate: z.literal('user_message_chunk'), ...chunk }),
  z.looseObject({ sessionUpdate: z.literal('agent_message_chunk'), ...chunk }),
  z.looseObject({ sessionUpdate: z.literal('agent_thought_chunk'), ...chunk }),
  z.looseObject({ sessionUpdate: z.literal('tool_call'), ...toolCallSchema.shape }),
  z.looseObject({ sessionUpdate: z.literal('tool_call_update'), ...toolCallSchema.shape }),
  z.looseObject({
    sessionUpdate: z.literal('plan'),
    entries: list(
      z.looseObject({
        content: text,
        priority: z.enum(['high', 'medium', 'low']).catch('medium'),
        status: z.enum(['pending', 'in_progress', 'completed']).catch('pending'),
      }),
    ),
  }),
  z.looseObject({
    sessionUpdate: z.literal('available_commands_update'),
    availableCommands: list(z.looseObject({ name: text, description: text.catch('') })),
  }),
  z.looseObject({ sessionUpdate: z.literal('current_mode_update'), currentModeId: text }),
  z.looseObject({ sessionUpdate: z.literal('config_option_update'), configOptions: list(optionSchema) }),
  z.looseObject({ sessionUpdate: z.literal('session_info_update'), title: optionalText }),
  z.looseObject({
    sessionUpdate: z.literal('usage_update'),
    used: z.number(),
    size: z.number(),
    cost: z.looseObject({ amount: z.number(), currency: text }).nullish().catch(undefined),
  }),
])
export type AgentUpdate = z.output<typeof updateSchema>

/** What `initialize` answers. */
export const initializedSchema = z.looseObject({
  agentCapabilities: z
    .looseObject({
      loadSession: z.boolean().optional().catch(undefined),
      sessionCapabilities: z.looseObject({ resume: z.unknown().optional() }).optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
})

/** What `session/new`, `session/load` and `session/resume` answer; only the first has an id. */
export const sessionOpenedSchema = z.looseObject({
  sessionId: text.optional().catch(undefined),
  modes: modesSchema.nullish().catch(undefined),
  configOptions: list(optionSchema).nullish().catch(undefined),
})
export type SessionOpened = z.output<typeof sessionOpenedSchema>

/** What `session/prompt` answers. */
export const promptedSchema = z.looseObject({ stopReason: text.catch('end_turn') })

/** An agent's question whether it may. */
export const permissionRequestSchema = z.looseObject({
  toolCall: toolCallSchema,
  options: list(
    z.looseObject({
      optionId: text,
      name: text,
      kind: z.enum(['allow_once', 'allow_always', 'reject_once', 'reject_always']).catch('reject_once'),
    }),
  ),
})
export type PermissionRequest = z.output<typeof permissionRequestSchema>

const rpcId = z.union([z.number(), text])

/** One line of an agent: a request, a notification, or the answer to a request of ours. */
export const agentFrameSchema = z.looseObject({
  id: rpcId.nullish(),
  method: text.optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z
    .looseObject({ code: z.number().catch(0), message: text.catch('The agent gave no reason.') })
    .optional()
    .catch(undefined),
})
export type AgentFrame = z.output<typeof agentFrameSchema>
