import { AioError, type AioEvent, EVENT_TYPES, type EventFilter } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { inert } from '../output/table.ts'
import { progressLine } from '../progress.ts'
import { findSessionId } from '../session-id.ts'

/** `aio events`: everything that happens, one line each, until Ctrl-C. */
export async function watchEvents(
  cli: Cli,
  options: { after?: string; project?: string; session?: string; type?: string[] },
): Promise<void> {
  await using aio = await cli.connect()
  const types = EVENT_TYPES.filter((type) => options.type?.includes(type))
  const unknown = options.type?.find((type) => !EVENT_TYPES.some((known) => known === type))
  if (unknown !== undefined)
    throw new AioError(
      'INVALID_INPUT',
      `There is no event type ${JSON.stringify(unknown)}. Types: ${EVENT_TYPES.join(', ')}.`,
    )
  const orchestratorId = await cli.orchestratorId(aio)
  const filter: EventFilter = {
    ...(options.after === undefined ? {} : { after: options.after }),
    ...(options.project === undefined ? {} : { projectId: options.project }),
    ...(options.session === undefined ? {} : { sessionId: await findSessionId(aio, options.session) }),
    ...(orchestratorId === undefined ? {} : { orchestratorId }),
    ...(options.type === undefined ? {} : { types }),
  }
  const { timeout } = cli.flags
  const signal = timeout === undefined ? undefined : AbortSignal.timeout(timeout)
  for await (const event of aio.events(filter, { signal })) cli.out.result(event, eventLine)
  if (signal?.aborted === true) throw new AioError('TIMEOUT', 'The time given with --timeout is over.')
}

/** One line for one event. */
export function eventLine(event: AioEvent): string {
  return `${event.at}  ${event.position.replace(/^.*\./, '#').padEnd(7)} ${event.type.padEnd(20)} ${about(event)}`.trimEnd()
}

function about(event: AioEvent): string {
  switch (event.type) {
    case 'orchestrator_joined':
    case 'orchestrator_updated':
      return inert(event.orchestrator.name)
    case 'orchestrator_left':
      return `${event.orchestratorId} (${event.reason})`
    case 'command_request':
      return `${event.command} by ${inert(event.by)} ${event.sessionId ?? event.projectId ?? ''} ${event.commandId}`
    case 'command_ack':
      return event.commandId
    case 'command_progress':
      return `${event.commandId} ${progressLine(event) ?? ''}`
    case 'command_result':
      return `${event.command} succeeded ${event.commandId}`
    case 'command_error':
      return `${event.command} ${event.state} ${event.commandId}: ${event.error.code} ${inert(event.error.message)}`
    case 'session_updated':
      return `${event.session.id} ${event.session.state}`
    case 'session_removed':
      return event.sessionId
    case 'project_updated':
      return event.project.id
    case 'project_removed':
      return event.projectId
    case 'question_asked':
      return `${event.question.sessionId} ${event.question.id} ${inert(event.question.title)}`
    case 'question_answered':
      return `${event.question.sessionId} ${event.question.id} ${event.question.answer?.optionId ?? ''} by ${inert(event.question.answer?.by.name ?? '?')}`
    case 'question_withdrawn':
      return `${event.question.sessionId} ${event.question.id} ${event.question.state}`
    case 'egress':
      return `${event.sessionId} ${event.hosts.map(({ host, port }) => `${inert(host)}:${port}`).join(' ')}`
    case 'gap':
      return `events were missed (${event.reason})`
    case 'snapshot':
      return `${event.orchestrators.length} orchestrators, ${event.projects.length} projects, ${event.sessions.length} sessions, ${event.questions.length} questions`
    default:
      return event satisfies never
  }
}
