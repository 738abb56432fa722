import type { Usage } from '@ai-orchestration/protocol'

/** What a session's agent has used: cost where it is known, and tokens. */
export function SessionUsage({ usage }: { usage: Usage }) {
  const tokens = usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens
  const title = [
    `${tokens.toLocaleString()} tokens in ${usage.turns} calls`,
    usage.model,
    usage.unpricedTurns > 0 ? `${usage.unpricedTurns} calls without a known price` : undefined,
  ]
    .filter((each) => each !== undefined)
    .join(', ')
  return (
    <span title={title} className="mr-2 flex flex-none items-center gap-2 text-12 text-ink-2 max-md:hidden">
      {usage.costUsd !== undefined && <span>${usage.costUsd.toFixed(2)}</span>}
      <span className="text-ink-3">{short(tokens)} tokens</span>
    </span>
  )
}

/** A number in at most four characters, such as 940, 18k or 1.2M. */
export function short(count: number): string {
  if (count < 1_000) return String(count)
  if (count < 1_000_000) return `${Math.round(count / 1_000)}k`
  return `${(count / 1_000_000).toFixed(1)}M`
}
