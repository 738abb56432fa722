import { chatHeadSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { permissionRequestSchema } from './agent-frames.ts'
import { formFieldSchema } from './form.ts'

/**
 * What a conversation must know to go on where another process left off; it is written together with the entries that
 * follow from it.
 */
export const conversationNoteSchema = z.object({
  /** Which start of the agent this is about; another one begins anew. */
  run: z.string(),
  /** How far the agent's output has been taken in, in bytes. */
  offset: z.number().int(),
  /** `opening`: handshake under way. `ready`: it takes prompts. `ended`: its process has ended, or cannot be spoken to. */
  phase: z.enum(['opening', 'ready', 'ended']),
  nextRequestId: z.number().int(),
  /** Our requests that the agent has not answered. */
  requests: z.record(z.string(), z.enum(['initialize', 'new', 'resume', 'load', 'option', 'prompt'])),
  /** The agent's own name of the conversation, with which a later start of it goes on. */
  agentSessionId: z.string().optional(),
  canLoad: z.boolean(),
  /** The agent has forgotten the conversation: the next prompt brings a summary along. */
  needsSummary: z.boolean(),
  running: z.object({ requestId: z.string(), promptId: z.string() }).optional(),
  queue: z.array(z.string()),
  /** Permission requests of the agent that wait for a person. */
  pending: z.array(
    z.object({ rpcId: z.union([z.number(), z.string()]), questionId: z.string(), request: permissionRequestSchema }),
  ),
  /** Questions of the agent's own that wait for a person. */
  forms: z
    .array(
      z.object({
        rpcId: z.union([z.number(), z.string()]),
        asked: z.array(z.object({ field: formFieldSchema, questionId: z.string() })),
      }),
    )
    .default([]),
  /** The message that is growing. */
  open: z.object({ id: z.string(), role: z.enum(['agent', 'thought']), messageId: z.string().optional() }).optional(),
  /** A person has made the agent ask more than it was started with; a later start of it keeps that. */
  asksMore: z.boolean(),
  head: chatHeadSchema,
})
export type ConversationNote = z.infer<typeof conversationNoteSchema>

/** What a conversation that has never begun knows. */
export function emptyNote(): ConversationNote {
  return {
    run: '',
    offset: 0,
    phase: 'ended',
    nextRequestId: 1,
    requests: {},
    canLoad: false,
    needsSummary: false,
    queue: [],
    pending: [],
    forms: [],
    asksMore: false,
    head: { state: 'ended', queued: 0, options: [], commands: [] },
  }
}
