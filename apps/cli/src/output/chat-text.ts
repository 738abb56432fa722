import type { ChatEntry } from '@ai-orchestration/protocol'
import { inert, inertLines } from './table.ts'

/** One entry of a conversation as text for a terminal; nothing in it can steer the terminal. */
export function chatText(entry: ChatEntry): string {
  switch (entry.type) {
    case 'prompt':
      return `> ${inertLines(entry.text).replaceAll('\n', '\n> ')}${entry.state === 'done' ? '' : `\n  (${entry.state}${entry.error === undefined ? '' : `: ${inert(entry.error)}`})`}`
    case 'message':
      return entry.role === 'agent' ? inertLines(entry.text) : `  (thinks) ${inertLines(entry.text)}`
    case 'tool':
      return `  [${inert(entry.kind)}] ${inert(entry.title)}: ${entry.status.replace('_', ' ')}`
    case 'plan':
      return entry.items.map(({ text, status }) => `  ${planMark(status)} ${inert(text)}`).join('\n')
    case 'notice':
      return `  (${entry.level}) ${inert(entry.text)}`
    default:
      return entry satisfies never
  }
}

function planMark(status: 'pending' | 'in_progress' | 'completed'): string {
  if (status === 'completed') return '[x]'
  return status === 'in_progress' ? '[~]' : '[ ]'
}
