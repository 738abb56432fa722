import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `set_limits`: changes what a session may use, while it runs. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.set_limits,
  async ({ sessionId, limits }, { sessions }) => await sessions.setLimits(sessionId, limits),
)
