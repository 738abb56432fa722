import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `terminate_session`: ends a session and removes it; work that would be lost refuses it, or is archived with `force`. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.terminate_session,
  async ({ sessionId, force }, { sessions, steps }) =>
    await sessions.terminate(sessionId, { force: force ?? false }, steps),
)
