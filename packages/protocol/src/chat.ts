import { z } from 'zod'
import { timestampSchema } from './domain.ts'

/** How far a prompt has come; `queued` ones wait for those before them, the last three are final. */
export const promptStateSchema = z.enum(['queued', 'running', 'done', 'cancelled', 'failed'])
export type PromptState = z.infer<typeof promptStateSchema>

/** What a tool call shows of its result. Text of an agent is data: it may hold markup and escape sequences. */
export const toolContentSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), text: z.string(), omittedChars: z.number().int().optional() }),
  z.object({
    type: z.literal('diff'),
    path: z.string(),
    /** Absent for a new file. */
    oldText: z.string().optional(),
    newText: z.string(),
    omittedChars: z.number().int().optional(),
  }),
  /** Something that is not kept, such as an image. */
  z.object({ type: z.literal('omitted'), what: z.string() }),
])
export type ToolContent = z.infer<typeof toolContentSchema>

const stamped = {
  /** Unique within its session. */
  id: z.string(),
  /** Entries are shown in this order, which counts up from 1. Only a prompt that waited gets another one, when it begins. */
  order: z.number().int(),
  at: timestampSchema,
}

/** One entry of a conversation. An entry can change until its turn is over: its text grows, its state moves on. */
export const chatEntrySchema = z.discriminatedUnion('type', [
  z.object({
    ...stamped,
    type: z.literal('prompt'),
    text: z.string(),
    /** Name of who asked. */
    by: z.string(),
    state: promptStateSchema,
    /** Why the agent stopped, in its protocol's words: `end_turn`, `max_tokens`, `max_turn_requests`, `refusal`, `cancelled`. */
    stopReason: z.string().optional(),
    /** What went wrong, when it failed. */
    error: z.string().optional(),
  }),
  z.object({
    ...stamped,
    type: z.literal('message'),
    /** What the agent says to the person, or thinks for itself. */
    role: z.enum(['agent', 'thought']),
    text: z.string(),
    /** Characters at the end that are not kept. */
    omittedChars: z.number().int().optional(),
  }),
  z.object({
    ...stamped,
    type: z.literal('tool'),
    title: z.string(),
    /** The agent's own name of the tool. */
    name: z.string().optional(),
    /** `read`, `edit`, `delete`, `move`, `search`, `execute`, `think`, `fetch`, `switch_mode` or `other`. */
    kind: z.string(),
    status: z.enum(['pending', 'in_progress', 'completed', 'failed']),
    /** What it was called with, as JSON text. */
    input: z.string().optional(),
    content: z.array(toolContentSchema),
    locations: z.array(z.object({ path: z.string(), line: z.number().int().optional() })),
    /** The question in the inbox that it waits or waited for. */
    questionId: z.string().optional(),
  }),
  z.object({
    ...stamped,
    type: z.literal('plan'),
    items: z.array(
      z.object({
        text: z.string(),
        priority: z.enum(['high', 'medium', 'low']),
        status: z.enum(['pending', 'in_progress', 'completed']),
      }),
    ),
  }),
  /** Something the platform says, such as that the agent was started again. */
  z.object({ ...stamped, type: z.literal('notice'), level: z.enum(['info', 'warning', 'error']), text: z.string() }),
])
export type ChatEntry = z.infer<typeof chatEntrySchema>

/** A setting the agent offers, such as its permission mode or its model. */
export const chatOptionSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** `mode`, `model`, `thought_level`, or another of the agent's own. */
  category: z.string().optional(),
  value: z.string(),
  values: z.array(z.object({ id: z.string(), name: z.string(), description: z.string().optional() })),
})
export type ChatOption = z.infer<typeof chatOptionSchema>

/** How a conversation stands now. */
export const chatHeadSchema = z.object({
  /** `starting`: the agent is not ready yet. `ended`: its process has ended; prompts are refused. */
  state: z.enum(['starting', 'idle', 'working', 'needs_input', 'ended']),
  /** Prompts that wait. */
  queued: z.number().int(),
  options: z.array(chatOptionSchema),
  /** Commands of the agent that a prompt can begin with, such as `/compact`. */
  commands: z.array(z.object({ name: z.string(), description: z.string() })),
  /** Tokens in the agent's context and how many fit; cost as the agent reports it. */
  usage: z
    .object({
      usedTokens: z.number(),
      contextTokens: z.number(),
      cost: z.object({ amount: z.number(), currency: z.string() }).optional(),
    })
    .optional(),
  /** The agent's own title of the conversation. */
  title: z.string().optional(),
})
export type ChatHead = z.infer<typeof chatHeadSchema>

/** Counts every change of a conversation up from 1; watching goes on after one. */
export const revisionSchema = z.number().int().min(0)

/**
 * What a watcher of a conversation receives. `rev` is the revision after the item; resume with it. A watcher that
 * resumes, or was too slow, gets entries as they are now: what changed several times meanwhile comes once.
 */
export const chatItemSchema = z.discriminatedUnion('type', [
  /** A new entry, or one to put in place of the entry with its id. */
  z.object({ type: z.literal('entry'), rev: revisionSchema, entry: chatEntrySchema }),
  /** Text to add at the end of the entry with this id. */
  z.object({ type: z.literal('append'), rev: revisionSchema, id: z.string(), text: z.string() }),
  z.object({ type: z.literal('head'), rev: revisionSchema, head: chatHeadSchema }),
  /** Everything up to here has been sent once; what follows is news. */
  z.object({ type: z.literal('live'), rev: revisionSchema }),
])
export type ChatItem = z.infer<typeof chatItemSchema>
