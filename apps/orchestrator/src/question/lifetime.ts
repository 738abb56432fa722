import type { OrchestratorEvent, Question, Session } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import type { Questions } from './questions.ts'
import type { Rules } from './rules.ts'

interface Source {
  onChange(listener: (event: OrchestratorEvent) => void): () => void
}

/**
 * Takes questions and rules back with what they are about: all of a session that is removed, and those that hold up a
 * process of a session whose processes have ended.
 */
export function withdrawUseless(rooms: {
  questions: Questions
  rules: Rules
  sessions: Source & { get(id: string): Session | undefined }
  projects: Source
  log: Logger
}): void {
  const { questions, rules, sessions, projects, log } = rooms
  const look = (sessionId: string) => {
    const session = sessions.get(sessionId)
    questions.withdraw((question) => question.sessionId === sessionId && isUseless(question, session))
  }
  for (const sessionId of new Set(questions.list().map((question) => question.sessionId))) look(sessionId)
  sessions.onChange((event) => {
    if (event.type === 'session_updated') look(event.session.id)
    if (event.type !== 'session_removed') return
    look(event.sessionId)
    rules
      .forgetSession(event.sessionId)
      .catch((error: unknown) => log.warn({ err: error }, 'the rules of a removed session could not be forgotten'))
  })
  projects.onChange((event) => {
    if (event.type === 'project_removed') rules.forgetProject(event.projectId)
  })
}

function isUseless({ kind }: Question, session: Session | undefined): boolean {
  if (session === undefined) return true
  const hasEnded = session.state === 'stopped' || session.state === 'failed'
  return hasEnded && (kind === 'egress' || kind === 'budget')
}
