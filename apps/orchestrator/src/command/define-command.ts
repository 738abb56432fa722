import type { z } from 'zod'
import type { Agents } from '../agent/agents.ts'
import type { Chats } from '../chat/chats.ts'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import type { Projects } from '../project/projects.ts'
import type { Questions } from '../question/questions.ts'
import type { Rules } from '../question/rules.ts'
import type { Sessions } from '../session/sessions.ts'
import type { Steps } from './steps.ts'

/** The rooms a command works with. */
export interface Services {
  config: OrchestratorConfig
  projects: Projects
  sessions: Sessions
  agents: Agents
  questions: Questions
  rules: Rules
  chats: Chats
}

/** One run of a command. */
export interface CommandContext extends Services {
  commandId: string
  /** Who asked. */
  by: { name: string; isAdmin: boolean; tokenId?: string | undefined }
  steps: Steps
  log: Logger
}

/** What a zx module exports as `command`. */
export interface CommandModule {
  input: z.ZodType
  output: z.ZodType
  run(input: unknown, context: CommandContext): Promise<unknown>
}

/** Ties a command's schemas to the function that runs it. */
export function defineCommand<I extends z.ZodType, O extends z.ZodType>(
  schemas: { input: I; output: O },
  run: (input: z.output<I>, context: CommandContext) => Promise<z.input<O>>,
): CommandModule {
  return {
    ...schemas,
    run: async (input, context) => await run(schemas.input.parse(input), context),
  }
}
