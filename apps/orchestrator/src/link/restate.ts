import {
  type Orchestrator,
  type OrchestratorEvent,
  orchestratorEventSchema,
  type Project,
  type Question,
  questionEventType,
  type Session,
} from '@ai-orchestration/protocol'
import type { OutboxItem } from '../journal/journal-format.ts'

/** How everything stands that events are about. */
export interface Standing {
  orchestrator: Orchestrator
  projects: readonly Project[]
  sessions: readonly Session[]
  questions: readonly Question[]
}

/**
 * Events that say how those things stand now of which an earlier process had said something that the relay has not taken.
 * The relay gets these old words after this process has registered with newer facts, and must not be left with them.
 */
export function restate(items: readonly OutboxItem[], now: Standing): OrchestratorEvent[] {
  const said = new Map<string, OrchestratorEvent>()
  for (const { kind, text } of items) {
    if (kind !== 'state') continue
    const event = orchestratorEventSchema.safeParse(JSON.parse(text))
    if (!event.success) continue
    const restated = standingOf(event.data, now)
    if (restated !== undefined) said.set(restated.key, restated.event)
  }
  return [...said.values()]
}

function standingOf(
  event: OrchestratorEvent,
  { orchestrator, projects, sessions, questions }: Standing,
): { key: string; event: OrchestratorEvent } | undefined {
  switch (event.type) {
    case 'session_updated':
      return sessionStanding(event.session.id, event.session.projectId, sessions)
    case 'session_removed':
      return sessionStanding(event.sessionId, event.projectId, sessions)
    case 'project_updated':
      return projectStanding(event.project.id, projects)
    case 'project_removed':
      return projectStanding(event.projectId, projects)
    case 'orchestrator_updated':
      return { key: 'orchestrator', event: { type: 'orchestrator_updated', orchestrator } }
    case 'question_asked':
    case 'question_answered':
    case 'question_withdrawn':
      return questionStanding(event.question.id, questions)
    case 'egress':
    case 'command_ack':
    case 'command_progress':
    case 'command_result':
    case 'command_error':
      return undefined
    default:
      return event satisfies never
  }
}

function questionStanding(id: string, questions: readonly Question[]) {
  const question = questions.find((each) => each.id === id)
  if (question === undefined) return undefined
  const { projectId, sessionId } = question
  const event: OrchestratorEvent = { type: questionEventType(question.state), projectId, sessionId, question }
  return { key: `question ${id}`, event }
}

function sessionStanding(sessionId: string, projectId: string, sessions: readonly Session[]) {
  const session = sessions.find(({ id }) => id === sessionId)
  const event: OrchestratorEvent =
    session === undefined
      ? { type: 'session_removed', sessionId, projectId }
      : { type: 'session_updated', sessionId, projectId, session }
  return { key: `session ${sessionId}`, event }
}

function projectStanding(projectId: string, projects: readonly Project[]) {
  const project = projects.find(({ id }) => id === projectId)
  const event: OrchestratorEvent =
    project === undefined ? { type: 'project_removed', projectId } : { type: 'project_updated', projectId, project }
  return { key: `project ${projectId}`, event }
}
