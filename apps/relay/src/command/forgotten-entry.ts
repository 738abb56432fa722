import type { Entry } from './ledger.ts'
import type { CommandEvent } from './lifecycle.ts'

/** The record of a command that this relay does not know, from what its orchestrator says of its end, which is still true. */
export function forgottenEntry(
  orchestratorId: string,
  event: Extract<CommandEvent, { type: 'command_result' | 'command_error' }>,
  now: string,
): Entry {
  const { commandId, command, projectId, sessionId } = event
  const ending =
    event.type === 'command_result'
      ? { state: 'succeeded' as const, output: event.output }
      : { state: event.state, error: event.error }
  return {
    command: {
      commandId,
      command,
      orchestratorId,
      ...ending,
      ...(projectId === undefined ? {} : { projectId }),
      ...(sessionId === undefined ? {} : { sessionId }),
      createdAt: now,
      updatedAt: now,
    },
    input: undefined,
    contentHash: undefined,
    by: { name: 'unknown', isAdmin: false },
    deadline: 0,
    wasDispatched: true,
    wasAcknowledged: true,
    cancelRequested: false,
    isKept: true,
  }
}
