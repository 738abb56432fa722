import type { Question } from '@ai-orchestration/protocol'
import { useOfflineReason } from '../relay/connection.ts'
import { useOrchestrators, useRoleReason } from '../relay/use-fleet.ts'

/** Why a question cannot be answered now; `undefined` when it can. */
export function useAnswerReason(question: Question): string | undefined {
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const machine = useOrchestrators()?.find((each) => each.id === question.orchestratorId)
  return (
    offline ??
    role ??
    (machine?.state === 'offline' ? `${machine.name} is offline; it can be answered when it is back` : undefined)
  )
}
