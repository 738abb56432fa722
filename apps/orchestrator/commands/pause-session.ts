import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `pause_session`: freezes every process of a session. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.pause_session,
  async ({ sessionId }, { sessions }) => await sessions.pause(sessionId),
)
