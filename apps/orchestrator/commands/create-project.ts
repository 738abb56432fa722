import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `create_project`: clones a repository, or makes an empty one. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.create_project,
  async (input, { projects, by, steps }) => await projects.create(input, by, steps),
)
