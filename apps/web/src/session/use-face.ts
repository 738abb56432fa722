import type { Session } from '@ai-orchestration/protocol'
import { useCallback } from 'react'
import type { CommandView } from '../relay/fleet-state.ts'
import { useCommands, useOrchestrators } from '../relay/use-fleet.ts'
import { faceOf, type SessionFace } from './session-state.ts'

/** Tells what any session shows now: its shape, its word, its line. */
export function useFaces(): (session: Session) => SessionFace {
  const orchestrators = useOrchestrators()
  const commands = useCommands()
  return useCallback(
    (session) =>
      faceOf(
        session,
        orchestrators?.find((each) => each.id === session.orchestratorId),
        creationOf(session.id, commands),
      ),
    [orchestrators, commands],
  )
}

function creationOf(sessionId: string, commands: Readonly<Record<string, CommandView>>): CommandView | undefined {
  return Object.values(commands).findLast((each) => each.sessionId === sessionId && each.command === 'create_session')
}
