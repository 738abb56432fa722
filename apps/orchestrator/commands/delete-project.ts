import { AioError, BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `delete_project`: moves a project without sessions to the archives. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.delete_project,
  async ({ projectId }, { projects, sessions, steps }) => {
    const names = sessions.list(projectId).map((session) => session.name)
    if (names.length > 0)
      throw new AioError(
        'WORK_AT_RISK',
        `Project ${projectId} has ${names.length} session(s): ${names.slice(0, 5).join(', ')}. Terminate them first with \`aio sessions terminate\`.`,
        { details: { sessions: names } },
      )
    return await projects.delete(projectId, steps)
  },
)
