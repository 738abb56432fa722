import type { ChatEntry } from '@ai-orchestration/protocol'

/** Longest summary, in characters; about five thousand tokens. */
const SUMMARY_MAX_CHARS = 20_000

/** What was said so far, for an agent that has forgotten it: the last prompts and answers, and which tools were used. */
export function summaryOf(entries: readonly ChatEntry[]): string {
  const lines: string[] = []
  let chars = 0
  for (const entry of [...entries].reverse()) {
    const line = lineOf(entry)
    if (line === undefined) continue
    if (chars + line.length > SUMMARY_MAX_CHARS) break
    chars += line.length
    lines.unshift(line)
  }
  return `This conversation was interrupted and you no longer have it. What was said before, shortened, oldest first:\n\n${lines.join('\n\n')}\n\nThe person goes on:`
}

function lineOf(entry: ChatEntry): string | undefined {
  switch (entry.type) {
    case 'prompt':
      return `Person: ${entry.text.slice(0, 4_000)}`
    case 'message':
      return entry.role === 'agent' ? `You: ${entry.text.slice(0, 4_000)}` : undefined
    case 'tool':
      return `You used a tool (${entry.status}): ${entry.title.slice(0, 300)}`
    case 'plan':
    case 'notice':
      return undefined
    default:
      return entry satisfies never
  }
}
