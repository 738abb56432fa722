import {
  orchestratorSchema,
  projectSchema,
  type Question,
  questionSchema,
  sessionSchema,
} from '@ai-orchestration/protocol'
import type { z } from 'zod'
import type { Unstamped } from '../journal/journal.ts'
import type { Store, Write } from '../store/store.ts'
import type { FleetState } from './fleet.ts'

/** What an event changes in the kept state of the machines, written together with it; `undefined` for those about commands. */
export function fleetChange(event: Unstamped, at: string): Write | undefined {
  switch (event.type) {
    case 'orchestrator_joined':
    case 'orchestrator_updated':
      return put('orchestrator', event.orchestratorId, event.orchestratorId, event.orchestrator)
    case 'orchestrator_left':
      return { statement: 'hostLeft', values: [at, event.orchestratorId] }
    case 'project_updated':
      return put('project', event.orchestratorId, event.project.id, event.project)
    case 'project_removed':
      return drop('project', event.orchestratorId, event.projectId)
    case 'session_updated':
      return put('session', event.orchestratorId, event.session.id, event.session)
    case 'session_removed':
      return drop('session', event.orchestratorId, event.sessionId)
    case 'question_asked':
      return put('question', event.orchestratorId, event.question.id, event.question)
    case 'question_answered':
    case 'question_withdrawn':
      return drop('question', event.orchestratorId, event.question.id)
    case 'egress':
    case 'command_request':
    case 'command_ack':
    case 'command_progress':
    case 'command_result':
    case 'command_error':
    case 'gap':
    case 'snapshot':
      return undefined
    default:
      return event satisfies never
  }
}

/** The machines as they were last known, those first that had their names first. */
export function loadFleet(store: Store): FleetState {
  return {
    orchestrators: load(store, 'orchestrator', orchestratorSchema),
    projects: load(store, 'project', projectSchema),
    sessions: load(store, 'session', sessionSchema),
  }
}

/** The questions that waited for an answer. */
export function loadQuestions(store: Store): Question[] {
  return load(store, 'question', questionSchema)
}

// One that an older version wrote and this one does not understand is left out: its machine tells of it when it connects.
function load<T>(store: Store, kind: string, schema: z.ZodType<T>): T[] {
  return store.rows('SELECT body FROM fleet WHERE kind = ? ORDER BY id', kind).flatMap((row) => {
    const { success, data } = schema.safeParse(JSON.parse(String(row['body'])))
    return success ? [data] : []
  })
}

function put(kind: string, orchestratorId: string, name: string, body: object): Write {
  return { statement: 'putFleet', values: [kind, orchestratorId, name, JSON.stringify(body)] }
}

function drop(kind: string, orchestratorId: string, name: string): Write {
  return { statement: 'dropFleet', values: [kind, orchestratorId, name] }
}
