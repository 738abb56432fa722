import { z } from 'zod'
import { cloneUrlSchema } from './clone-url.ts'
import {
  agentInfoSchema,
  archiveSchema,
  limitsRequestSchema,
  permissionsSchema,
  projectSchema,
  rootfsInfoSchema,
  sessionInterfaceSchema,
  sessionSchema,
  timestampSchema,
  titleSchema,
} from './domain.ts'
import { egressInputSchema, egressRecordSchema } from './egress.ts'
import { wireErrorSchema } from './errors.ts'
import { archiveNameSchema, commandIdSchema, orchestratorIdSchema, projectIdSchema, sessionIdSchema } from './ids.ts'
import { LIMITS } from './limits.ts'
import {
  disposableSchema,
  poolSizeSchema,
  setupSchema,
  variableNameSchema,
  variableValueSchema,
} from './project-settings.ts'
import { answerInputSchema, questionSchema } from './questions.ts'
import { ruleFilterSchema, ruleIdSchema, ruleSchema } from './rules.ts'
import { slugSchema } from './slug.ts'

/** A command's name in `commands.toml`. */
export const commandNameSchema = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, {
  error: 'A command name has lowercase letters, digits and underscores, such as create_session.',
})

/** A git ref a session starts from: a branch, a tag or a commit. Refuses what git itself would refuse, and options. */
export const refSchema = z
  .string()
  .min(1)
  .max(LIMITS.refMaxChars)
  .refine((ref) => /^[A-Za-z0-9][A-Za-z0-9._/+-]*$/.test(ref) && !/\.\.|\/\/|\/\.|\.lock(\/|$)|[./]$|@\{/.test(ref), {
    error: 'This is not a branch, tag or commit that can be started from. Use a plain ref such as main or v1.2.',
  })

const promptSchema = z
  .string()
  .max(LIMITS.promptMaxChars, { error: `A prompt has at most ${LIMITS.promptMaxChars} characters.` })
  .refine((text) => !text.includes('\0'), { error: 'A prompt cannot hold a NUL character.' })

/** Inputs and outputs of the built-in commands. */
export const BUILT_IN_COMMANDS = {
  list_projects: { input: z.strictObject({}), output: z.array(projectSchema) },
  create_project: {
    input: z.strictObject({
      /** Inferred from the repository when absent. */
      name: slugSchema.optional(),
      repoUrl: cloneUrlSchema.optional(),
      title: titleSchema.optional(),
      agent: slugSchema.optional(),
    }),
    output: projectSchema,
  },
  update_project: {
    input: z.strictObject({
      projectId: projectIdSchema,
      /** `null` takes a setting away; what is absent stays. */
      title: titleSchema.nullable().optional(),
      agent: slugSchema.nullable().optional(),
      /** Branch that sessions start from unless they name another. */
      defaultBranch: refSchema.optional(),
      /** Variables to set, and with `null` to take away; the others stay. */
      env: z.record(variableNameSchema, variableValueSchema.nullable()).optional(),
      setup: setupSchema.nullable().optional(),
      setupOptional: z.boolean().optional(),
      disposable: disposableSchema.optional(),
      /** Limits of new sessions; what is not named stays as it is. */
      limits: limitsRequestSchema.nullable().optional(),
      /** Containers that wait for its sessions. */
      pool: poolSizeSchema.optional(),
    }),
    output: projectSchema,
  },
  delete_project: {
    input: z.strictObject({
      projectId: projectIdSchema,
      /** Archive and remove its sessions first; without it a project with sessions is refused. */
      force: z.boolean().optional(),
    }),
    output: z.object({
      projectId: projectIdSchema,
      archive: z.string().optional(),
      /** Of the sessions that were removed with it. */
      sessions: z.array(archiveSchema).optional(),
    }),
  },
  list_sessions: { input: z.strictObject({ projectId: projectIdSchema.optional() }), output: z.array(sessionSchema) },
  create_session: {
    input: z.strictObject({
      projectId: projectIdSchema,
      name: slugSchema,
      title: titleSchema.optional(),
      agent: slugSchema.optional(),
      prompt: promptSchema.optional(),
      /** Branch, tag or commit to start from; the project's default branch when absent. */
      base: refSchema.optional(),
      /** Continue from an existing `feature/{name}` that no session owns. */
      resumeBranch: z.boolean().optional(),
      /** What differs from the project's limits. */
      limits: limitsRequestSchema.optional(),
      /** `terminal` when absent. */
      interface: sessionInterfaceSchema.optional(),
      /** Absent: the agent asks for nothing where it is fully isolated, and asks where it is not. */
      permissions: permissionsSchema.optional(),
    }),
    output: sessionSchema,
  },
  terminate_session: {
    input: z.strictObject({ sessionId: sessionIdSchema, force: z.boolean().optional() }),
    output: z.object({ sessionId: sessionIdSchema, branch: z.string(), archive: archiveSchema.optional() }),
  },
  fork_session: {
    input: z.strictObject({
      sessionId: sessionIdSchema,
      /** Of the new session; its branch is `feature/{name}`. */
      name: slugSchema,
      title: titleSchema.optional(),
      prompt: promptSchema.optional(),
    }),
    output: sessionSchema,
  },
  list_archives: { input: z.strictObject({ projectId: projectIdSchema.optional() }), output: z.array(archiveSchema) },
  restore_session: {
    input: z.strictObject({
      archiveId: archiveNameSchema,
      /** The name it had when absent. */
      name: slugSchema.optional(),
      /** Only bring its work back; nothing is started. */
      isStopped: z.boolean().optional(),
    }),
    output: sessionSchema,
  },
  pause_session: { input: z.strictObject({ sessionId: sessionIdSchema }), output: sessionSchema },
  resume_session: { input: z.strictObject({ sessionId: sessionIdSchema }), output: sessionSchema },
  restart_session: {
    input: z.strictObject({
      sessionId: sessionIdSchema,
      /** What the agent is to do; it is started without a prompt when absent. */
      prompt: promptSchema.optional(),
      /** Switches between its terminal and its chat; as it was when absent. */
      interface: sessionInterfaceSchema.optional(),
      /** As it was when absent. */
      permissions: permissionsSchema.optional(),
    }),
    output: sessionSchema,
  },
  set_limits: {
    input: z.strictObject({
      sessionId: sessionIdSchema,
      limits: limitsRequestSchema.refine((limits) => Object.keys(limits).length > 0, {
        error: 'Say which limit to change: memoryMb, cpus, pids or diskMb.',
      }),
    }),
    output: sessionSchema,
  },
  /** Queues a prompt; its id is the command's. It is answered as soon as the prompt waits or runs. */
  prompt_session: {
    input: z.strictObject({
      sessionId: sessionIdSchema,
      text: promptSchema.min(1, { error: 'A prompt cannot be empty.' }),
    }),
    output: z.object({ promptId: commandIdSchema }),
  },
  /** Cancels a prompt that waits, or what the agent does now when none is named. */
  cancel_prompt: {
    input: z.strictObject({ sessionId: sessionIdSchema, promptId: commandIdSchema.optional() }),
    output: z.object({ outcome: z.enum(['prevented', 'stopping', 'too-late']) }),
  },
  /** Sets one of the agent's own settings, such as its permission mode or model. */
  set_chat_option: {
    input: z.strictObject({ sessionId: sessionIdSchema, optionId: z.string().max(200), value: z.string().max(200) }),
    output: z.object({}),
  },
  list_agents: { input: z.strictObject({}), output: z.array(agentInfoSchema) },
  install_agent: {
    input: z.strictObject({
      agent: slugSchema,
      version: z
        .string()
        .regex(/^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$/, { error: 'A version looks like 2.1.330.' })
        .optional(),
    }),
    output: agentInfoSchema,
  },
  rootfs_info: { input: z.strictObject({}), output: rootfsInfoSchema },
  build_rootfs: { input: z.strictObject({}), output: rootfsInfoSchema },
  answer_question: { input: answerInputSchema, output: questionSchema },
  list_rules: { input: ruleFilterSchema, output: z.array(ruleSchema) },
  revoke_rule: { input: z.strictObject({ projectId: projectIdSchema, ruleId: ruleIdSchema }), output: ruleSchema },
  list_egress: { input: egressInputSchema, output: z.array(egressRecordSchema) },
} as const

/** Name of a built-in command. */
export type BuiltInCommand = keyof typeof BUILT_IN_COMMANDS
/** Input of a built-in command, before defaults. */
export type CommandInput<C extends BuiltInCommand> = z.input<(typeof BUILT_IN_COMMANDS)[C]['input']>
/** Output of a built-in command. */
export type CommandOutput<C extends BuiltInCommand> = z.output<(typeof BUILT_IN_COMMANDS)[C]['output']>

/** `unknown` is the honest state while the orchestrator cannot be asked; all after `unknown` are final. */
export const commandStateSchema = z.enum([
  'accepted',
  'dispatched',
  'running',
  'unknown',
  'succeeded',
  'failed',
  'rejected',
  'cancelled',
  'expired',
  'interrupted',
])
export type CommandState = z.infer<typeof commandStateSchema>

/** Tells whether a command will change no more. */
export function isFinal(state: CommandState): boolean {
  switch (state) {
    case 'accepted':
    case 'dispatched':
    case 'running':
    case 'unknown':
      return false
    case 'succeeded':
    case 'failed':
    case 'rejected':
    case 'cancelled':
    case 'expired':
    case 'interrupted':
      return true
    default:
      return state satisfies never
  }
}

/** A command as the relay knows it. */
export const commandSchema = z.object({
  commandId: commandIdSchema,
  command: commandNameSchema,
  orchestratorId: orchestratorIdSchema,
  state: commandStateSchema,
  projectId: projectIdSchema.optional(),
  sessionId: sessionIdSchema.optional(),
  progress: z.number().min(0).max(100).optional(),
  output: z.unknown().optional(),
  error: wireErrorSchema.optional(),
  createdAt: timestampSchema,
  updatedAt: timestampSchema,
})
export type Command = z.infer<typeof commandSchema>

/** One step of a command, as progress reports it. */
export const stepSchema = z.object({
  name: z.string().max(60),
  state: z.enum(['running', 'done', 'failed', 'undone']),
  /** How long it took, in milliseconds, once it has ended. */
  ms: z.number().optional(),
  detail: z.string().max(500).optional(),
})
export type Step = z.infer<typeof stepSchema>
