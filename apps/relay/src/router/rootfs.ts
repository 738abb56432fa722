import { BUILT_IN_COMMANDS, commandIdSchema, orchestratorIdSchema, type RootfsInfo } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

const machine = { orchestratorId: orchestratorIdSchema.optional() }

/** What new containers of a machine start from. */
export const rootfsRouter = router({
  info: procedure('viewer', { handlesScope: true })
    .input(z.strictObject(machine).optional())
    .query(
      ({ ctx, input }): Promise<RootfsInfo> =>
        ctx.services.commands.call(
          ctx,
          'rootfs_info',
          { input: {}, orchestratorId: input?.orchestratorId },
          BUILT_IN_COMMANDS.rootfs_info.output,
        ),
    ),
  build: procedure('admin', { handlesScope: true })
    .input(z.strictObject({ ...machine, commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, orchestratorId } }): Promise<RootfsInfo> =>
        ctx.services.commands.call(
          ctx,
          'build_rootfs',
          { input: {}, commandId, orchestratorId },
          BUILT_IN_COMMANDS.build_rootfs.output,
        ),
    ),
})
