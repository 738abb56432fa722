import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `rootfs_info`: what new containers of this machine start from. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.rootfs_info,
  async (_input, { sessions }) => await sessions.rootfs.info(),
)
