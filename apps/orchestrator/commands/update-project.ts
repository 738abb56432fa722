import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `update_project`: changes a project's settings, for sessions that are made from now on. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.update_project,
  async (input, { projects, sessions, agents, steps }) => {
    if (typeof input.agent === 'string') agents.require(input.agent)
    const project = await projects.update(input, steps)
    // Not waited for: the next session starts from what this makes.
    void sessions.warm(project.id)
    return project
  },
)
