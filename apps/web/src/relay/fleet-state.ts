import type {
  AioEvent,
  CommandState,
  Orchestrator,
  Project,
  Question,
  Session,
  Step,
  WireError,
} from '@ai-orchestration/protocol'

/** A command as this page has watched it: its steps, its progress, its end. */
export interface CommandView {
  commandId: string
  command: string
  state: CommandState
  by?: string
  projectId?: string
  sessionId?: string
  steps: readonly Step[]
  /** 0 to 100. */
  progress?: number
  message?: string
  error?: WireError
  at: string
  endedAt?: string
}

/** Everything the event stream tells about. `undefined` lists have not been loaded yet. */
export interface FleetState {
  orchestrators: readonly Orchestrator[] | undefined
  projects: readonly Project[] | undefined
  sessions: readonly Session[] | undefined
  /** Those that wait for an answer. */
  questions: readonly Question[] | undefined
  /** Those that waited while this page was open and wait no more, by id: who answered, and how. */
  settled: Readonly<Record<string, Question>>
  commands: Readonly<Record<string, CommandView>>
}

/** Commands that are remembered; older ones are asked for when a page needs them. */
const COMMANDS_MAX = 300

/** Settled questions that are remembered. */
const SETTLED_MAX = 200

/** Applies one event to the state. Parts that it does not touch keep their identity. */
export function applyEvent(state: FleetState, event: AioEvent): FleetState {
  switch (event.type) {
    case 'orchestrator_joined':
    case 'orchestrator_updated':
      return { ...state, orchestrators: put(state.orchestrators, event.orchestrator) }
    case 'orchestrator_left':
      return {
        ...state,
        orchestrators: state.orchestrators?.map((each) =>
          each.id === event.orchestratorId ? { ...each, state: 'offline', lastSeenAt: event.at } : each,
        ),
      }
    case 'session_updated':
      return { ...state, sessions: put(state.sessions, event.session) }
    case 'session_removed':
      return { ...state, sessions: state.sessions?.filter((each) => each.id !== event.sessionId) }
    case 'project_updated':
      return { ...state, projects: put(state.projects, event.project) }
    case 'project_removed':
      return {
        ...state,
        projects: state.projects?.filter((each) => each.id !== event.projectId),
        sessions: state.sessions?.filter((each) => each.projectId !== event.projectId),
      }
    case 'question_asked':
      return { ...state, questions: put(state.questions, event.question) }
    case 'question_answered':
    case 'question_withdrawn':
      return {
        ...state,
        questions: state.questions?.filter((each) => each.id !== event.question.id),
        settled: bounded({ ...state.settled, [event.question.id]: event.question }, SETTLED_MAX),
      }
    case 'egress':
      return state
    case 'command_request':
    case 'command_ack':
    case 'command_progress':
    case 'command_result':
    case 'command_error':
      return { ...state, commands: bounded(putCommand(state.commands, event), COMMANDS_MAX) }
    case 'snapshot':
      return {
        ...state,
        orchestrators: event.orchestrators,
        projects: event.projects,
        sessions: event.sessions,
        questions: event.questions,
      }
    case 'gap':
      // What lay between is unknown: commands under way are asked for again, and a snapshot follows for the rest.
      return { ...state, commands: {} }
    default:
      return event satisfies never
  }
}

type CommandEvent = Extract<AioEvent, { commandId: string; type: `command_${string}` }>

function putCommand(commands: FleetState['commands'], event: CommandEvent): FleetState['commands'] {
  const known: CommandView = commands[event.commandId] ?? {
    commandId: event.commandId,
    command: '',
    state: 'accepted',
    steps: [],
    at: event.at,
  }
  const about: CommandView = {
    ...known,
    ...(event.projectId === undefined ? {} : { projectId: event.projectId }),
    ...(event.sessionId === undefined ? {} : { sessionId: event.sessionId }),
  }
  return { ...commands, [event.commandId]: changed(about, event) }
}

function changed(view: CommandView, event: CommandEvent): CommandView {
  switch (event.type) {
    case 'command_request':
      return { ...view, command: event.command, by: event.by, at: event.at }
    case 'command_ack':
      return view.endedAt === undefined ? { ...view, state: 'running' } : view
    case 'command_progress':
      return {
        ...view,
        state: view.endedAt === undefined ? 'running' : view.state,
        ...(event.progress === undefined ? {} : { progress: event.progress }),
        ...(event.message === undefined ? {} : { message: event.message }),
        ...(event.step === undefined ? {} : { steps: putStep(view.steps, event.step) }),
      }
    case 'command_result':
      return { ...view, command: event.command, state: 'succeeded', endedAt: event.at }
    case 'command_error':
      return { ...view, command: event.command, state: event.state, error: event.error, endedAt: event.at }
  }
}

function putStep(steps: readonly Step[], step: Step): readonly Step[] {
  const at = steps.findIndex((each) => each.name === step.name)
  return at === -1 ? [...steps, step] : steps.with(at, step)
}

function put<T extends { id: string }>(list: readonly T[] | undefined, item: T): readonly T[] | undefined {
  if (list === undefined) return undefined
  const at = list.findIndex((each) => each.id === item.id)
  return at === -1 ? [...list, item] : list.with(at, item)
}

/** The newest so many, by their ids: ULIDs sort by the time they were made. */
function bounded<T>(byId: Readonly<Record<string, T>>, max: number): Readonly<Record<string, T>> {
  const ids = Object.keys(byId)
  if (ids.length <= max) return byId
  const kept = new Set(ids.sort().slice(-max))
  return Object.fromEntries(Object.entries(byId).filter(([id]) => kept.has(id)))
}
