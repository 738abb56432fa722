import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `list_projects`: all projects of this machine. */
export const command = defineCommand(BUILT_IN_COMMANDS.list_projects, async (_input, { projects }) => projects.list())
