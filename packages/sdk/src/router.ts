import type { AppRouter } from '@ai-orchestration/relay/router'
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server'

/** The relay's router as a type; the only place where the SDK touches the relay, and nothing of it exists at run time. */
export type { AppRouter }

/** Input of every procedure, by path: `ProcedureInputs['sessions']['create']`. */
export type ProcedureInputs = inferRouterInputs<AppRouter>

/** Output of every procedure, by path: `ProcedureOutputs['sessions']['create']`. */
export type ProcedureOutputs = inferRouterOutputs<AppRouter>
