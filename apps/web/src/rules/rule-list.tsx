import type { Rule } from '@ai-orchestration/protocol'
import { useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { useOfflineReason } from '../relay/connection.ts'
import { readError } from '../relay/read-error.ts'
import { trpc } from '../relay/trpc.ts'
import { useRoleReason } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { Age } from '../ui/time.tsx'
import { toastDone, toastFailed } from '../ui/toast.ts'

/** The standing answers of one project, or of all; each can be revoked. */
export function RuleList({ projectId }: { projectId: string | undefined }) {
  const rules = trpc.rules.list.useQuery(projectId === undefined ? {} : { projectId }, { staleTime: 0 })
  if (rules.isError)
    return (
      <p role="alert" className="px-3.5 py-3 text-failed">
        They could not be loaded. {readError(rules.error).message}
      </p>
    )
  if (rules.data === undefined) return <p className="px-3.5 py-3 text-ink-3">Loading</p>
  if (rules.data.length === 0)
    return (
      <p className="px-3.5 py-3 text-ink-3">
        None. Answering a question with Always makes one, for its session or for its whole project.
      </p>
    )
  return (
    <ul>
      {rules.data.map((rule) => (
        <RuleRow key={rule.id} rule={rule} />
      ))}
    </ul>
  )
}

function RuleRow({ rule }: { rule: Rule }) {
  const utils = trpc.useUtils()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const [isSending, setSending] = useState(false)
  const revoke = async () => {
    setSending(true)
    try {
      await utils.client.rules.revoke.mutate({ projectId: rule.projectId, ruleId: rule.id })
      toastDone('Revoked. It is asked again from now on')
    } catch (thrown) {
      toastFailed('It was not revoked', thrown)
    }
    setSending(false)
    await utils.rules.list.invalidate()
  }
  return (
    <li className="flex min-h-11 items-center gap-3 border-t border-line-1 px-3.5 py-2 first:border-t-0">
      <StateGlyph
        state={rule.verdict === 'allow' ? 'done' : 'paused'}
        label={rule.verdict === 'allow' ? 'Allowed' : 'Denied'}
      />
      <div className="min-w-0 flex-1">
        <p className="truncate">
          {rule.verdict === 'allow' ? 'Allow' : 'Deny'}{' '}
          <span className="font-mono text-code">
            {rule.match.kind === 'egress'
              ? inertText(`${rule.match.host}:${rule.match.port}`)
              : inertText(rule.match.tool)}
          </span>
        </p>
        <p className="truncate text-12 text-ink-3">
          {rule.sessionId === undefined ? `every session of ${rule.projectId}` : `only ${rule.sessionId}`}, by{' '}
          {inertText(rule.by.name)} <Age at={rule.createdAt} isLong /> ago
        </p>
      </div>
      <Button size="sm" isSending={isSending} disabledReason={offline ?? role} onClick={() => void revoke()}>
        Revoke
      </Button>
    </li>
  )
}
