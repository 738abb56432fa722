import type { AioEvent, EventFilter, Question } from '@ai-orchestration/protocol'
import type { FleetState } from '../fleet/fleet.ts'

/** What a watcher asked for, without where to begin. */
export type Filter = Omit<EventFilter, 'after'>

/** Everything that a snapshot shows. */
export interface WorldState extends FleetState {
  /** Those that wait for an answer. */
  questions: Question[]
}

/** Tells whether a watcher asked for this event. */
export function matches(filter: Filter, event: AioEvent): boolean {
  if (event.type === 'gap' || event.type === 'snapshot') return true
  if (filter.types !== undefined && !filter.types.includes(event.type)) return false
  if (filter.orchestratorId !== undefined && event.orchestratorId !== filter.orchestratorId) return false
  if (filter.projectId !== undefined && projectOf(event) !== filter.projectId) return false
  return filter.sessionId === undefined || sessionOf(event) === filter.sessionId
}

/** The part of a state that a watcher asked for. */
export function narrow(filter: Filter, state: WorldState): WorldState {
  const { orchestratorId, projectId, sessionId } = filter
  return {
    orchestrators: state.orchestrators.filter(({ id }) => orchestratorId === undefined || id === orchestratorId),
    projects: state.projects.filter(
      (project) =>
        (orchestratorId === undefined || project.orchestratorId === orchestratorId) &&
        (projectId === undefined || project.id === projectId),
    ),
    sessions: state.sessions.filter(
      (session) =>
        (orchestratorId === undefined || session.orchestratorId === orchestratorId) &&
        (projectId === undefined || session.projectId === projectId) &&
        (sessionId === undefined || session.id === sessionId),
    ),
    questions: state.questions.filter(
      (question) =>
        (orchestratorId === undefined || question.orchestratorId === orchestratorId) &&
        (projectId === undefined || question.projectId === projectId) &&
        (sessionId === undefined || question.sessionId === sessionId),
    ),
  }
}

/** The project that an event is about, if it is about one. */
export function projectOf(event: AioEvent): string | undefined {
  switch (event.type) {
    case 'session_updated':
      return event.session.projectId
    case 'project_updated':
      return event.project.id
    case 'question_asked':
    case 'question_answered':
    case 'question_withdrawn':
      return event.question.projectId
    case 'egress':
    case 'session_removed':
    case 'project_removed':
    case 'command_request':
    case 'command_ack':
    case 'command_progress':
    case 'command_result':
    case 'command_error':
      return event.projectId
    default:
      return undefined
  }
}

function sessionOf(event: AioEvent): string | undefined {
  switch (event.type) {
    case 'session_updated':
      return event.session.id
    case 'question_asked':
    case 'question_answered':
    case 'question_withdrawn':
      return event.question.sessionId
    case 'egress':
    case 'session_removed':
    case 'command_request':
    case 'command_ack':
    case 'command_progress':
    case 'command_result':
    case 'command_error':
      return event.sessionId
    default:
      return undefined
  }
}
