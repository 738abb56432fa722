import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `cancel_prompt`: a prompt that waits, or what the agent does now. */
export const command = defineCommand(BUILT_IN_COMMANDS.cancel_prompt, async ({ sessionId, promptId }, { chats }) => ({
  outcome: chats.cancel(sessionId, promptId),
}))
