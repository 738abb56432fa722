import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `fork_session`: a session that begins where another one stands now. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.fork_session,
  async (input, { sessions, chats, steps, commandId, by }) => {
    const session = await sessions.fork(input, steps)
    await chats.promptNew(session, { id: commandId, text: input.prompt, by: by.name })
    return session
  },
)
