import type { Session } from '@ai-orchestration/protocol'
import { useCallback } from 'react'
import type { CommandView } from '../relay/fleet-state.ts'
import { useCommands, useOrchestrators, useQuestions } from '../relay/use-fleet.ts'
import { faceOf, type SessionFace } from './session-state.ts'

/** Tells what any session shows now: its shape, its word, its line. */
export function useFaces(): (session: Session) => SessionFace {
  const orchestrators = useOrchestrators()
  const commands = useCommands()
  const questions = useQuestions()
  return useCallback(
    (session) =>
      faceOf(
        session,
        orchestrators?.find((each) => each.id === session.orchestratorId),
        creationOf(session.id, commands),
        questions?.find((each) => each.sessionId === session.id),
      ),
    [orchestrators, commands, questions],
  )
}

function creationOf(sessionId: string, commands: Readonly<Record<string, CommandView>>): CommandView | undefined {
  return Object.values(commands).findLast((each) => each.sessionId === sessionId && each.command === 'create_session')
}
