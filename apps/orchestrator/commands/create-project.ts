import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `create_project`: clones a repository, or makes an empty one. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.create_project,
  async (input, { projects, sessions, by, steps }) => {
    const project = await projects.create(input, by, steps)
    // Not waited for: the first session starts from what this makes.
    void sessions.warm(project.id)
    return project
  },
)
