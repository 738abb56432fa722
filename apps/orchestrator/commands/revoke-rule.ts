import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `revoke_rule`: takes a standing answer back; what it answered is asked again. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.revoke_rule,
  async ({ projectId, ruleId }, { rules }) => await rules.revoke(projectId, ruleId),
)
