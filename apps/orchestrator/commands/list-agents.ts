import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `list_agents`: the agents of this machine and whether a session can start them now. */
export const command = defineCommand(BUILT_IN_COMMANDS.list_agents, async (_input, { agents }) => agents.list())
