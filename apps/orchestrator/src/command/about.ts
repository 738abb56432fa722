import { type Dispatch, parseCloneUrl, parseSessionId, sessionIdOf, sessionOfArchive } from '@ai-orchestration/protocol'
import { z } from 'zod'

/** Which project and session a command is about. */
export interface About {
  projectId?: string
  sessionId?: string
}

const inputSchema = z.object({
  projectId: z.string().optional(),
  sessionId: z.string().optional(),
  name: z.string().optional(),
  repoUrl: z.string().optional(),
  archiveId: z.string().optional(),
})

/** Which session and project a command is about, as far as its input says. */
export function aboutOf({ command, input }: Pick<Extract<Dispatch, { type: 'run' }>, 'command' | 'input'>): About {
  const parsed = inputSchema.safeParse(input)
  if (!parsed.success) return {}
  const { projectId, sessionId, name, repoUrl } = parsed.data
  if (command === 'restore_session') return restored(parsed.data)
  if (command === 'create_project') return projectNamed(name ?? inferredName(repoUrl))
  const session =
    sessionId ?? (projectId !== undefined && name !== undefined ? sessionIdOf(projectId, name) : undefined)
  const names = session === undefined ? undefined : parseSessionId(session)
  if (session !== undefined && names !== undefined) return { sessionId: session, projectId: names.projectId }
  return projectNamed(projectId)
}

function restored({ archiveId, name }: z.output<typeof inputSchema>): About {
  const archived = parseSessionId(sessionOfArchive(archiveId ?? ''))
  if (archived === undefined) return {}
  return { projectId: archived.projectId, sessionId: sessionIdOf(archived.projectId, name ?? archived.name) }
}

function projectNamed(projectId: string | undefined): About {
  return projectId === undefined ? {} : { projectId }
}

function inferredName(repoUrl: string | undefined): string | undefined {
  if (repoUrl === undefined) return undefined
  try {
    return parseCloneUrl(repoUrl).inferredName
  } catch (error) {
    // The command's own check says what is wrong with it.
    if (error instanceof TypeError) return undefined
    throw error
  }
}
