import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `create_session`: a worktree, a container and a terminal with the agent in it. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.create_session,
  async (input, { projects, sessions, chats, steps, commandId, by }) => {
    const session = await sessions.create(input, steps)
    await chats.promptNew(session, { id: commandId, text: input.prompt, by: by.name })
    // Not waited for: the next session starts from what this brings.
    void projects.refresh(input.projectId).then(async () => await sessions.warm(input.projectId))
    return session
  },
)
