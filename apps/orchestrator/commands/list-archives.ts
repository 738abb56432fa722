import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `list_archives`: what was kept of removed sessions, also of projects that are gone. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.list_archives,
  async ({ projectId }, { sessions }) => await sessions.archives(projectId),
)
