import { AioError, type Dispatch } from '@ai-orchestration/protocol'
import type { FinalEvent } from '../journal/journal-format.ts'
import type { About } from './about.ts'

/** How a command ended without a result. */
export type Failure = Extract<FinalEvent, { type: 'command_error' }>

/** The event that says how and why a command ended without a result. */
export function failure(
  { commandId, command }: Pick<Extract<Dispatch, { type: 'run' }>, 'commandId' | 'command'>,
  about: About,
  state: Failure['state'],
  error: AioError,
): Failure {
  return { type: 'command_error', ...about, commandId, command, state, error: error.toWire() }
}

/** Why a command that waited too long was not started. */
export function expired(): AioError {
  return new AioError('EXPIRED', 'The command waited longer than its time to live and was not started.')
}

/** Why a command is neither run nor called never started after its journal was damaged. */
export function unsure(): AioError {
  return new AioError(
    'INTERRUPTED',
    "The orchestrator's journal was damaged and set aside after this command was made, so it is not known whether it ran before. It was not started again. Look at the state of the project, then run it under a new id.",
  )
}

/** Why a command that the relay says was begun here is called interrupted: there is no record of it. */
export function forgotten(): AioError {
  return new AioError(
    'INTERRUPTED',
    'The orchestrator has no record of this command, so it does not know how far it came. Look at the state of the project, then run it again.',
  )
}
