import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `list_rules`: standing answers of people, of one project or session or all. */
export const command = defineCommand(BUILT_IN_COMMANDS.list_rules, async (input, { rules }) => rules.list(input))
