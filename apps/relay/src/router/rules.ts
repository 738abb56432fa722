import { BUILT_IN_COMMANDS, commandIdSchema, type Principal, type Rule } from '@ai-orchestration/protocol'
import type { Services } from '../services.ts'
import { procedure, router } from './trpc.ts'

/** Standing answers: what people have allowed or refused for good. */
export const rulesRouter = router({
  list: procedure('viewer', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.list_rules.input.optional())
    .query(({ ctx, input = {} }): Promise<Rule[]> => {
      const isNarrow = input.projectId !== undefined || input.sessionId !== undefined
      return isNarrow ? listOf(ctx, { input }) : listAll(ctx)
    }),
  revoke: procedure('operator', { handlesScope: true })
    .input(BUILT_IN_COMMANDS.revoke_rule.input.extend({ commandId: commandIdSchema.optional() }))
    .mutation(
      ({ ctx, input: { commandId, ...input } }): Promise<Rule> =>
        ctx.services.commands.call(ctx, 'revoke_rule', { input, commandId }, BUILT_IN_COMMANDS.revoke_rule.output),
    ),
})

interface Caller {
  services: Services
  principal: Principal
  requestId: () => string
}

interface Request {
  input: { projectId?: string | undefined; sessionId?: string | undefined }
  orchestratorId?: string
}

async function listOf(caller: Caller, request: Request): Promise<Rule[]> {
  const { output } = BUILT_IN_COMMANDS.list_rules
  return await caller.services.commands.call(caller, 'list_rules', request, output)
}

/** Of every machine that is online: the rules of the others cannot be used, nor revoked, before they are back. */
async function listAll(caller: Caller): Promise<Rule[]> {
  const fleet = caller.services.fleet.seenBy(caller.principal)
  const online = fleet.orchestrators().filter(({ state }) => state === 'online')
  const isWhole = caller.principal.projects === undefined
  const requests: Request[] = online.flatMap(({ id }) =>
    isWhole
      ? [{ input: {}, orchestratorId: id }]
      : fleet.projects(id).map((project): Request => ({ input: { projectId: project.id } })),
  )
  return (await Promise.all(requests.map((request) => listOf(caller, request)))).flat()
}
