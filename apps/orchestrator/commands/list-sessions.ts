import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `list_sessions`: the sessions of one project, or of all. */
export const command = defineCommand(BUILT_IN_COMMANDS.list_sessions, async ({ projectId }, { projects, sessions }) => {
  if (projectId !== undefined) projects.require(projectId)
  return sessions.list(projectId)
})
