import { AioError } from '@ai-orchestration/protocol'

// One text each, so that what a token may not see looks exactly like what is not there.

/** The error for a project that is not there. */
export function noProject(projectId: string): AioError {
  return new AioError(
    'NOT_FOUND',
    `There is no project "${projectId}" on any orchestrator that has connected. See: aio projects list`,
  )
}

/** The error for a session that is not there. */
export function noSession(sessionId: string): AioError {
  return new AioError('NOT_FOUND', `There is no session "${sessionId}". See: aio sessions list`)
}

/** The error for a machine that is not there. */
export function noOrchestrator(orchestratorId: string): AioError {
  return new AioError(
    'ORCHESTRATOR_NOT_FOUND',
    `No orchestrator with the id ${orchestratorId} has connected to this relay. \`aio orchestrators\` lists those that have; start one with: aio orchestrator`,
  )
}

/** The error for a command that is not there. */
export function noCommand(): AioError {
  return new AioError('NOT_FOUND', 'The relay knows no command of this id. It keeps them for eight days.')
}

/** The error for a question that is not there. */
export function noQuestion(questionId: string): AioError {
  return new AioError('NOT_FOUND', `There is no question ${questionId}. See: aio inbox`)
}
