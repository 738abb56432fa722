import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'
import { readEgressLog } from '../src/door/egress-log.ts'

/** Entries that are shown unless more are asked for. */
const LIMIT = 200

/** `list_egress`: what went through a session's door, and what was turned away. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.list_egress,
  async ({ sessionId, limit }, { sessions }) => await readEgressLog(sessions.egressLogOf(sessionId), limit ?? LIMIT),
)
