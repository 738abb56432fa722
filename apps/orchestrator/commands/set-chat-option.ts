import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `set_chat_option`: one of the agent's own settings. */
export const command = defineCommand(BUILT_IN_COMMANDS.set_chat_option, async (input, { chats }) => {
  chats.setOption(input.sessionId, input.optionId, input.value)
  return {}
})
