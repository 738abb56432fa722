import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `install_agent`: installs or updates an agent from npm; sessions that run keep the version they started with. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.install_agent,
  async ({ agent, version }, { agents, sessions, steps }) => {
    const info = await agents.install(agent, version, {
      progress: (percent, message) => steps.progress(percent, message),
      signal: steps.signal,
      trial: async (directory, argv) => await sessions.tryAgent(directory, argv),
    })
    await sessions.prune()
    return info
  },
)
