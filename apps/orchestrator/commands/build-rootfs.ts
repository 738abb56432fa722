import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `build_rootfs`: a root filesystem from packages; sessions that run keep the one they started with. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.build_rootfs,
  async (_input, { sessions, steps }) => await sessions.rootfs.build(steps),
)
