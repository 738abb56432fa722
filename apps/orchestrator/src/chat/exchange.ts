import type { ChatItem } from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import type { AgentPipe } from './agent-pipe.ts'
import type { ChatStore } from './chat-store.ts'
import { type ConversationNote, conversationNoteSchema, emptyNote } from './conversation-note.ts'
import { stateOf } from './head.ts'
import type { PermissionDesk } from './permission-desk.ts'
import { Transcript } from './transcript.ts'

/** Between two writes of what the agent says while it speaks, in milliseconds; a crash reads so much again. */
const FLUSH_MS = 250

/** What a conversation works with. */
export interface ConversationParts {
  sessionId: string
  store: ChatStore
  desk: PermissionDesk
  log: Logger
  now: () => Date
  /** Told of every change. */
  tell: (item: ChatItem) => void
}

/**
 * What a conversation knows, and how it changes: all of one change is noted, then told to those who watch, then said to
 * the agent. Frames leave only when what they follow from is on disk, so that a crash does not send them twice.
 */
export class Exchange implements Disposable {
  readonly sessionId: string
  readonly store: ChatStore
  readonly desk: PermissionDesk
  readonly log: Logger
  readonly transcript: Transcript
  note: ConversationNote
  pipe: AgentPipe | undefined
  readonly #tell: (item: ChatItem) => void
  #items: ChatItem[] = []
  #outgoing: object[] = []
  #depth = 0
  #headText = ''
  #flush: NodeJS.Timeout | undefined

  constructor({ sessionId, store, desk, log, now, tell }: ConversationParts) {
    this.sessionId = sessionId
    this.store = store
    this.desk = desk
    this.log = log
    this.#tell = tell
    const known = conversationNoteSchema.safeParse(store.note)
    this.note = known.success ? known.data : emptyNote()
    this.transcript = new Transcript(store, now, (item) => this.#collect(item))
    this.transcript.open = this.note.open === undefined ? undefined : { messageId: undefined, ...this.note.open }
  }

  /** Runs one change; one within another belongs to it. */
  change(action: () => void): void {
    this.#depth += 1
    try {
      action()
    } finally {
      this.#depth -= 1
    }
    if (this.#depth > 0) return
    this.#updateHead()
    const frames = this.#outgoing
    this.#outgoing = []
    if (frames.length > 0) this.save()
    else this.#flush ??= setTimeout(() => this.save(), FLUSH_MS).unref()
    const items = this.#items
    this.#items = []
    for (const item of items) this.#tell(item)
    for (const frame of frames) this.pipe?.send(frame)
  }

  /** Asks the agent, within a change. @returns the id its answer will have. */
  request(kind: ConversationNote['requests'][string], method: string, params: object): string {
    const id = this.note.nextRequestId
    this.note.nextRequestId += 1
    this.note.requests[String(id)] = kind
    this.send({ id, method, params })
    return String(id)
  }

  /** Sends a frame, within a change. */
  send(frame: object): void {
    this.#outgoing.push({ jsonrpc: '2.0', ...frame })
  }

  /** Writes everything now. */
  save(): void {
    clearTimeout(this.#flush)
    this.#flush = undefined
    const { open } = this.transcript
    const { messageId, ...rest } = open ?? {}
    const kept = open === undefined ? undefined : { id: open.id, role: open.role, ...rest }
    this.note.open = kept === undefined || messageId === undefined ? kept : { ...kept, messageId }
    this.store.setNote(structuredClone(this.note))
    this.store.flush()
  }

  [Symbol.dispose](): void {
    this.save()
    this.store[Symbol.dispose]()
  }

  #updateHead(): void {
    const { head, queue } = this.note
    head.queued = queue.length
    head.state = stateOf(this.note)
    const text = JSON.stringify(head)
    if (text === this.#headText) return
    this.#headText = text
    this.#items.push({ type: 'head', rev: this.store.bump(), head: structuredClone(head) })
  }

  #collect(item: ChatItem): void {
    const last = this.#items.at(-1)
    if (item.type === 'append' && last?.type === 'append' && last.id === item.id) {
      last.text += item.text
      last.rev = item.rev
      return
    }
    // A change of an entry that is about to be told makes the older one needless.
    if (item.type === 'entry' && last?.type === 'entry' && last.entry.id === item.entry.id) this.#items.pop()
    this.#items.push(item)
  }
}
