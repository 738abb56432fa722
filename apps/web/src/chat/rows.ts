import type { ChatEntry } from '@ai-orchestration/protocol'

/** One kind of entry. */
export type EntryOf<Type extends ChatEntry['type']> = Extract<ChatEntry, { type: Type }>

/** A prompt that this page has sent and that has not come back yet, or could not be sent. */
export interface SentPrompt {
  id: string
  text: string
  at: string
  /** Why it was not taken. */
  error?: string
}

/** What stands in one row of a conversation. `key` stays the same while the row grows. */
export type Row =
  | { kind: 'prompt'; key: string; entry: EntryOf<'prompt'> }
  | { kind: 'sent'; key: string; sent: SentPrompt }
  | { kind: 'message'; key: string; entry: EntryOf<'message'>; isGrowing: boolean }
  | { kind: 'tool'; key: string; entry: EntryOf<'tool'>; isLastEdit: boolean }
  /** Neighbouring reads and searches, as one. */
  | { kind: 'tools'; key: string; entries: EntryOf<'tool'>[] }
  | { kind: 'plan'; key: string; entry: EntryOf<'plan'>; isLatest: boolean; isRunning: boolean }
  | { kind: 'notice'; key: string; entry: EntryOf<'notice'> }

/** Lays a conversation out in rows; prompts that wait are not part of it yet. */
export function rowsOf(entries: readonly ChatEntry[], sent: readonly SentPrompt[], isBusy: boolean): Row[] {
  const lastEdit = entries.findLast((entry) => entry.type === 'tool' && hasDiff(entry))
  const lastPlan = entries.findLast((entry) => entry.type === 'plan')
  const rows: Row[] = []
  for (const entry of entries) {
    switch (entry.type) {
      case 'prompt':
        if (entry.state !== 'queued' && !wasTakenBack(entry)) rows.push({ kind: 'prompt', key: entry.id, entry })
        break
      case 'message':
        rows.push({ kind: 'message', key: entry.id, entry, isGrowing: isBusy && entry === entries.at(-1) })
        break
      case 'tool': {
        const last = rows.at(-1)
        if (isLookingUp(entry) && last?.kind === 'tools') last.entries.push(entry)
        else if (isLookingUp(entry) && last?.kind === 'tool' && isLookingUp(last.entry))
          rows[rows.length - 1] = { kind: 'tools', key: last.key, entries: [last.entry, entry] }
        else rows.push({ kind: 'tool', key: entry.id, entry, isLastEdit: entry === lastEdit })
        break
      }
      case 'plan':
        rows.push({
          ...{ kind: 'plan', key: entry.id, entry },
          ...{ isLatest: entry === lastPlan, isRunning: entry === lastPlan && isBusy },
        })
        break
      case 'notice':
        rows.push({ kind: 'notice', key: entry.id, entry })
        break
      default:
        entry satisfies never
    }
  }
  for (const each of sent) rows.push({ kind: 'sent', key: each.id, sent: each })
  return rows
}

/** Taken out of the queue before it began: the agent never knew of it. */
function wasTakenBack({ state, stopReason }: EntryOf<'prompt'>): boolean {
  return state === 'cancelled' && stopReason === undefined
}

/** The prompts that wait, oldest first. */
export function queueOf(entries: readonly ChatEntry[]): EntryOf<'prompt'>[] {
  return entries.filter((entry) => entry.type === 'prompt').filter((entry) => entry.state === 'queued')
}

/** What a tool call says of its result as changes of files. */
export function hasDiff(entry: EntryOf<'tool'>): boolean {
  return entry.content.some((piece) => piece.type === 'diff')
}

/** Reading that asks nobody and changes nothing: worth one line, however much of it there is. */
function isLookingUp(entry: EntryOf<'tool'>): boolean {
  return (entry.kind === 'read' || entry.kind === 'search') && entry.questionId === undefined && !hasDiff(entry)
}
