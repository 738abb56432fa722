import { z } from 'zod'
import { stepSchema } from './commands.ts'
import { orchestratorSchema, projectSchema, sessionSchema, timestampSchema } from './domain.ts'
import { wireErrorSchema } from './errors.ts'
import { commandIdSchema, orchestratorIdSchema, positionSchema, projectIdSchema, sessionIdSchema } from './ids.ts'
import { plainValueSchema } from './plain-value.ts'
import { type QuestionState, questionSchema } from './questions.ts'

const about = {
  commandId: commandIdSchema.optional(),
  projectId: projectIdSchema.optional(),
  sessionId: sessionIdSchema.optional(),
}

/** What an orchestrator publishes; the relay adds position, time and the orchestrator's id. */
export const orchestratorEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('command_ack'), ...about, commandId: commandIdSchema }),
  z.object({
    type: z.literal('command_progress'),
    ...about,
    commandId: commandIdSchema,
    progress: z.number().min(0).max(100).optional(),
    message: z.string().max(2_000).optional(),
    step: stepSchema.optional(),
  }),
  z.object({
    type: z.literal('command_result'),
    ...about,
    commandId: commandIdSchema,
    command: z.string(),
    output: plainValueSchema,
  }),
  z.object({
    type: z.literal('command_error'),
    ...about,
    commandId: commandIdSchema,
    command: z.string(),
    /** How it ended; `failed` means that what it had done was undone. */
    state: z.enum(['failed', 'rejected', 'cancelled', 'expired', 'interrupted']),
    error: wireErrorSchema,
  }),
  z.object({ type: z.literal('session_updated'), ...about, session: sessionSchema }),
  z.object({ type: z.literal('session_removed'), ...about, sessionId: sessionIdSchema, projectId: projectIdSchema }),
  z.object({ type: z.literal('project_updated'), ...about, project: projectSchema }),
  z.object({ type: z.literal('project_removed'), ...about, projectId: projectIdSchema }),
  /** A person is asked; it waits until one of the next two. */
  z.object({ type: z.literal('question_asked'), ...about, question: questionSchema }),
  z.object({ type: z.literal('question_answered'), ...about, question: questionSchema }),
  /** It no longer matters, or its time is over: nobody can answer it any more. */
  z.object({ type: z.literal('question_withdrawn'), ...about, question: questionSchema }),
  /** What a session's door let through and turned away since the last such event; the log holds each request. */
  z.object({
    type: z.literal('egress'),
    ...about,
    sessionId: sessionIdSchema,
    projectId: projectIdSchema,
    /** By host and port, at most 20; `omitted` says how many more there were. */
    hosts: z.array(
      z.object({
        host: z.string(),
        port: z.number().int(),
        allowed: z.number().int(),
        denied: z.number().int(),
        failed: z.number().int(),
        bytesUp: z.number(),
        bytesDown: z.number(),
      }),
    ),
    omitted: z.number().int(),
  }),
  /** The machine's own facts changed, such as an agent that was installed. */
  z.object({ type: z.literal('orchestrator_updated'), ...about, orchestrator: orchestratorSchema }),
])
export type OrchestratorEvent = z.infer<typeof orchestratorEventSchema>

const stamped = { position: positionSchema, at: timestampSchema }
const placed = { ...stamped, orchestratorId: orchestratorIdSchema, ...about }

/** Everything that happens, in one ordered stream per relay. */
export const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('orchestrator_joined'), ...placed, orchestrator: orchestratorSchema }),
  z.object({
    type: z.literal('orchestrator_left'),
    ...placed,
    reason: z.enum(['disconnected', 'timeout', 'superseded', 'shutdown']),
  }),
  z.object({
    type: z.literal('command_request'),
    ...placed,
    commandId: commandIdSchema,
    command: z.string(),
    /** Name of the token that asked. */
    by: z.string(),
  }),
  ...orchestratorEventSchema.options.map((option) => option.extend(placed)),
  /** Continuity cannot be proven: what lay between is lost to this watcher, and a `snapshot` follows. */
  z.object({
    type: z.literal('gap'),
    ...stamped,
    reason: z.enum(['retention', 'epoch', 'overflow', 'corruption']),
    from: z.string().optional(),
    to: positionSchema,
  }),
  /** The whole state as of its position. */
  z.object({
    type: z.literal('snapshot'),
    ...stamped,
    orchestrators: z.array(orchestratorSchema),
    projects: z.array(projectSchema),
    sessions: z.array(sessionSchema),
    /** Those that wait for an answer. */
    questions: z.array(questionSchema),
  }),
])

type Stamped = { position: string; at: string }
type Placed = Stamped & { orchestratorId: string }

/** One event of the stream; narrow it by `type`. */
export type AioEvent =
  | (Placed & { type: 'orchestrator_joined'; orchestrator: z.infer<typeof orchestratorSchema> })
  | (Placed & { type: 'orchestrator_left'; reason: 'disconnected' | 'timeout' | 'superseded' | 'shutdown' })
  | (Placed & {
      type: 'command_request'
      commandId: string
      command: string
      by: string
      projectId?: string | undefined
      sessionId?: string | undefined
    })
  | (Placed & OrchestratorEvent)
  | (Stamped & {
      type: 'gap'
      reason: 'retention' | 'epoch' | 'overflow' | 'corruption'
      from?: string | undefined
      to: string
    })
  | (Stamped & {
      type: 'snapshot'
      orchestrators: z.infer<typeof orchestratorSchema>[]
      projects: z.infer<typeof projectSchema>[]
      sessions: z.infer<typeof sessionSchema>[]
      questions: z.infer<typeof questionSchema>[]
    })

/** The types an event can have. */
export const EVENT_TYPES = [
  'orchestrator_joined',
  'orchestrator_left',
  'orchestrator_updated',
  'command_request',
  'command_ack',
  'command_progress',
  'command_result',
  'command_error',
  'session_updated',
  'session_removed',
  'project_updated',
  'project_removed',
  'question_asked',
  'question_answered',
  'question_withdrawn',
  'egress',
  'gap',
  'snapshot',
] as const satisfies AioEvent['type'][]

/** What a watcher of events asks for; absent fields mean all. */
export const eventFilterSchema = z.strictObject({
  after: positionSchema.optional(),
  orchestratorId: orchestratorIdSchema.optional(),
  projectId: projectIdSchema.optional(),
  sessionId: sessionIdSchema.optional(),
  types: z.array(z.enum(EVENT_TYPES)).max(EVENT_TYPES.length).optional(),
  /** Begin with a `snapshot` of the present state when there is no position to go on from: then nothing that follows can be missed. */
  snapshot: z.boolean().optional(),
})
export type EventFilter = z.infer<typeof eventFilterSchema>

/** The type of the event that tells how a question stands. */
export function questionEventType(state: QuestionState): 'question_asked' | 'question_answered' | 'question_withdrawn' {
  switch (state) {
    case 'pending':
      return 'question_asked'
    case 'answered':
      return 'question_answered'
    case 'withdrawn':
    case 'expired':
      return 'question_withdrawn'
    default:
      return state satisfies never
  }
}
