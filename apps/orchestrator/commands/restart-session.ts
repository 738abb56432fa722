import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `restart_session`: starts a session's agent anew in the same workspace and home. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.restart_session,
  async ({ sessionId, ...asked }, { sessions, chats, steps, commandId, by }) => {
    const session = await sessions.restart(sessionId, asked, steps)
    await chats.promptNew(session, { id: commandId, text: asked.prompt, by: by.name })
    return session
  },
)
