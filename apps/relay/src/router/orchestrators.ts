import type { Orchestrator } from '@ai-orchestration/protocol'
import { procedure, router } from './trpc.ts'

/** The machines. */
export const orchestratorsRouter = router({
  list: procedure('viewer').query(({ ctx }): Orchestrator[] => ctx.services.fleet.orchestrators()),
})
