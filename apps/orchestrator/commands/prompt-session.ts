import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `prompt_session`: queues a prompt; its id is the command's, so that asking again asks once. */
export const command = defineCommand(BUILT_IN_COMMANDS.prompt_session, async (input, { chats, commandId, by }) => {
  await chats.prompt(input.sessionId, { id: commandId, text: input.text, by: by.name })
  return { promptId: commandId }
})
