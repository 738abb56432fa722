import {
  type Archive,
  BUILT_IN_COMMANDS,
  type CommandOutput,
  commandIdSchema,
  type EgressRecord,
  type ExecItem,
  execRequestSchema,
  exportRequestSchema,
  LIMITS,
  orchestratorIdSchema,
  projectIdSchema,
  type Session,
  type StatsItem,
  sessionIdSchema,
  streamIdSchema,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import { procedure, router } from './trpc.ts'

/** Sessions, and running a program inside one. */
export const sessionsRouter = router({
  list: procedure('viewer', { handlesScope: true })
    .input(z.strictObject({ projectId: projectIdSchema.optional() }).optional())
    .query(({ ctx, input }): Session[] => ctx.services.fleet.seenBy(ctx.principal).sessions(input?.projectId)),
  get: procedure('viewer')
    .input(z.strictObject({ sessionId: sessionIdSchema }))
    .query(({ ctx, input }): Session => ctx.services.fleet.seenBy(ctx.principal).requireSession(input.sessionId)),
  create: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.create_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(
          ctx,
          'create_session',
          { input, commandId },
          BUILT_IN_COMMANDS.create_session.output,
        ),
    ),
  terminate: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.terminate_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<CommandOutput<'terminate_session'>> =>
        ctx.services.commands.call(
          ctx,
          'terminate_session',
          { input, commandId },
          BUILT_IN_COMMANDS.terminate_session.output,
        ),
    ),
  fork: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.fork_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(ctx, 'fork_session', { input, commandId }, BUILT_IN_COMMANDS.fork_session.output),
    ),
  archives: procedure('viewer', { handlesScope: true })
    .input(
      BUILT_IN_COMMANDS.list_archives.input
        .extend({
          /** Needed where there are several machines and the project, if any, is on none of them any more. */
          orchestratorId: orchestratorIdSchema.optional(),
        })
        .optional(),
    )
    .query(
      ({ ctx, input: { orchestratorId, ...input } = {} }): Promise<Archive[]> =>
        ctx.services.commands.call(
          ctx,
          'list_archives',
          { input, orchestratorId },
          BUILT_IN_COMMANDS.list_archives.output,
        ),
    ),
  restore: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.restore_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(
          ctx,
          'restore_session',
          { input, commandId },
          BUILT_IN_COMMANDS.restore_session.output,
        ),
    ),
  export: procedure('operator')
    .input(exportRequestSchema)
    .subscription(
      ({ ctx, input, signal }): AsyncGenerator<ExecItem, void> =>
        ctx.services.streams.export(ctx.principal, input, { peer: ctx.peer, signal }),
    ),
  pause: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.pause_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(ctx, 'pause_session', { input, commandId }, BUILT_IN_COMMANDS.pause_session.output),
    ),
  resume: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.resume_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(
          ctx,
          'resume_session',
          { input, commandId },
          BUILT_IN_COMMANDS.resume_session.output,
        ),
    ),
  restart: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.restart_session.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(
          ctx,
          'restart_session',
          { input, commandId },
          BUILT_IN_COMMANDS.restart_session.output,
        ),
    ),
  setLimits: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.set_limits.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Session> =>
        ctx.services.commands.call(ctx, 'set_limits', { input, commandId }, BUILT_IN_COMMANDS.set_limits.output),
    ),
  stats: procedure('viewer')
    .input(z.strictObject({ sessionId: sessionIdSchema }))
    .subscription(
      ({ ctx, input, signal }): AsyncGenerator<StatsItem['stats'], void> =>
        ctx.services.streams.stats(ctx.principal, input.sessionId, { peer: ctx.peer, signal }),
    ),
  egress: procedure('viewer', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.list_egress.input)
    .query(
      ({ ctx, input }): Promise<EgressRecord[]> =>
        ctx.services.commands.call(ctx, 'list_egress', { input }, BUILT_IN_COMMANDS.list_egress.output),
    ),
  exec: procedure('operator')
    .input(execRequestSchema)
    .subscription(
      ({ ctx, input, signal }): AsyncGenerator<ExecItem, void> =>
        ctx.services.streams.exec(ctx.principal, input, { peer: ctx.peer, signal }),
    ),
  execInput: procedure('operator', { isFrequent: true, handlesScope: true })
    .input(
      z.strictObject({
        execId: streamIdSchema,
        /** Base64. */
        data: z.base64().max(LIMITS.terminalInputMaxChars).optional(),
        end: z.boolean().optional(),
      }),
    )
    .mutation(async ({ ctx, input }): Promise<Record<string, never>> => {
      await ctx.services.streams.execInput(ctx.principal, input)
      return {}
    }),
})
