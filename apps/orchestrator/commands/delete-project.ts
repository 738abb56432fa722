import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `delete_project`: moves a project to the archives; one with sessions is refused, or archives them first with `force`. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.delete_project,
  async ({ projectId, force }, { projects, sessions, steps }) => {
    projects.require(projectId)
    return await sessions.clear(projectId, { force: force ?? false }, steps, async (archives) => ({
      ...(await projects.delete(projectId, steps)),
      ...(archives.length === 0 ? {} : { sessions: archives }),
    }))
  },
)
