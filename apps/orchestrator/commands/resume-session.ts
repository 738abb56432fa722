import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `resume_session`: lets a paused session go on. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.resume_session,
  async ({ sessionId }, { sessions }) => await sessions.resume(sessionId),
)
