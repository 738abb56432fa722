import {
  BUILT_IN_COMMANDS,
  type CommandOutput,
  commandIdSchema,
  orchestratorIdSchema,
  type Project,
  projectIdSchema,
  type SecretInfo,
  secretValueSchema,
  variableNameSchema,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** Secrets of a project, by name; a value goes straight to its orchestrator, and never comes back. */
const secretsRouter = router({
  list: procedure('viewer')
    .input(z.strictObject({ projectId: projectIdSchema }))
    .query(({ ctx, input }): Promise<SecretInfo[]> => ctx.services.streams.secrets(ctx.principal, input.projectId)),
  set: procedure('operator')
    .input(z.strictObject({ projectId: projectIdSchema, name: variableNameSchema, value: secretValueSchema }))
    .mutation(
      ({ ctx, input: { projectId, name, value } }): Promise<SecretInfo[]> =>
        ctx.services.streams.secrets(ctx.principal, projectId, { type: 'set', name, value }),
    ),
  unset: procedure('operator')
    .input(z.strictObject({ projectId: projectIdSchema, name: variableNameSchema }))
    .mutation(
      ({ ctx, input: { projectId, name } }): Promise<SecretInfo[]> =>
        ctx.services.streams.secrets(ctx.principal, projectId, { type: 'unset', name }),
    ),
})

/** Projects of all machines. */
export const projectsRouter = router({
  list: procedure('viewer', { handlesScope: true })
    .input(z.strictObject({ orchestratorId: orchestratorIdSchema.optional() }).optional())
    .query(({ ctx, input }): Project[] => ctx.services.fleet.seenBy(ctx.principal).projects(input?.orchestratorId)),
  get: procedure('viewer')
    .input(z.strictObject({ projectId: projectIdSchema }))
    .query(({ ctx, input }): Project => ctx.services.fleet.seenBy(ctx.principal).requireProject(input.projectId)),
  create: procedure('operator', { handlesScope: true })
    .input(
      BUILT_IN_COMMANDS.create_project.input.extend({
        orchestratorId: orchestratorIdSchema.optional(),
        commandId: commandIdSchema.optional(),
      }),
    )
    .mutation(
      ({ ctx, input: { commandId, orchestratorId, ...input } }): Promise<Project> =>
        ctx.services.commands.call(
          ctx,
          'create_project',
          { input, commandId, orchestratorId },
          BUILT_IN_COMMANDS.create_project.output,
        ),
    ),
  update: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.update_project.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Project> =>
        ctx.services.commands.call(
          ctx,
          'update_project',
          { input, commandId },
          BUILT_IN_COMMANDS.update_project.output,
        ),
    ),
  secrets: secretsRouter,
  delete: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.delete_project.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<CommandOutput<'delete_project'>> =>
        ctx.services.commands.call(
          ctx,
          'delete_project',
          { input, commandId },
          BUILT_IN_COMMANDS.delete_project.output,
        ),
    ),
})
