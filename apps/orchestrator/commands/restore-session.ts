import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `restore_session`: a session made of an archive, which stays. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.restore_session,
  async (input, { sessions, steps }) => await sessions.restore(input, steps),
)
