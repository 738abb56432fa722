import { agentsRouter } from './agents.ts'
import { auditRouter } from './audit.ts'
import { authRouter } from './auth.ts'
import { chatRouter } from './chat.ts'
import { commandsRouter } from './commands.ts'
import { eventsRouter } from './events.ts'
import { inboxRouter } from './inbox.ts'
import { orchestratorRouter } from './orchestrator.ts'
import { orchestratorsRouter } from './orchestrators.ts'
import { projectsRouter } from './projects.ts'
import { rootfsRouter } from './rootfs.ts'
import { rulesRouter } from './rules.ts'
import { sessionsRouter } from './sessions.ts'
import { terminalRouter } from './terminal.ts'
import { tokensRouter } from './tokens.ts'
import { router } from './trpc.ts'

/** Every procedure of the relay. */
export const appRouter = router({
  auth: authRouter,
  orchestrators: orchestratorsRouter,
  projects: projectsRouter,
  sessions: sessionsRouter,
  chat: chatRouter,
  agents: agentsRouter,
  rootfs: rootfsRouter,
  commands: commandsRouter,
  inbox: inboxRouter,
  rules: rulesRouter,
  events: eventsRouter,
  terminal: terminalRouter,
  tokens: tokensRouter,
  audit: auditRouter,
  orchestrator: orchestratorRouter,
})

/** The type that clients are typed by. */
export type AppRouter = typeof appRouter
