import { setTimeout as sleep } from 'node:timers/promises'
import { type OrchestratorEvent, orchestratorEventSchema, type Publication } from '@ai-orchestration/protocol'
import type { Journal } from '../journal/journal.ts'
import type { ItemKind, OutboxItem } from '../journal/journal-format.ts'
import { SEQ_BLOCK } from '../journal/seq-block.ts'

/** What of the journal the outbox uses. */
export type OutboxJournal = Pick<Journal, 'content' | 'put' | 'taken' | 'drop' | 'reserve'>

interface Waiting extends OutboxItem {
  bytes: number
  /** False while it must not be sent because it would be forgotten if we died right after. */
  isSendable: boolean
}

/** Bytes of events that may wait for the relay (E-5). */
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/** An event's share of a message and of memory beside its text, in bytes. */
const ITEM_OVERHEAD = 64

/** How often it is looked whether everything was taken, in milliseconds; only at the end of the process. */
const EMPTY_LOOK_MS = 10

/** When there is no room, so much of it is made at once, as a part of all: not one event at a time. */
const ROOM_PART = 0.1

/**
 * Events on their way to the relay: numbered, kept on disk until the relay has taken them, sent again after a reconnect
 * and after a restart. How a command ended is on the disk before it is told, so that it is never told otherwise later.
 */
export class Outbox {
  readonly #journal: OutboxJournal
  readonly #maxBytes: number
  #nextSeq: number
  #reserved: number
  #isReserving = false
  #waiting: Waiting[]
  #bytes: number
  #wake: (() => void) | undefined

  /** Most events in one call, and about the most bytes: the relay takes 1 MiB. */
  static readonly batchMaxEvents = 64
  static readonly batchMaxBytes = 768 * 1024

  constructor(journal: OutboxJournal, options: { maxBytes?: number } = {}) {
    const { content } = journal
    this.#journal = journal
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
    this.#nextSeq = content.seqs.first
    this.#reserved = content.seqs.last
    // What another release has written and this one cannot say would hold up all that follows.
    this.#waiting = content.items
      .filter(isSayable)
      .map((item) => ({ ...item, bytes: sizeOf(item.text), isSendable: true }))
    this.#bytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Names the numbering for the relay: it goes on over restarts of this process. */
  get id(): string {
    return this.#journal.content.outboxId
  }

  /** Bytes of events that wait. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds an event. */
  add(event: OrchestratorEvent): void {
    const text = JSON.stringify(event)
    const kind = kindOf(event)
    const item: Waiting = {
      seq: this.#nextSeq,
      kind,
      text,
      lost: 0,
      bytes: sizeOf(text),
      isSendable: !mustBeKeptFirst(event),
    }
    this.#nextSeq += 1
    this.#waiting.push(item)
    this.#bytes += item.bytes
    const written = this.#journal.put({ seq: item.seq, kind, text, lost: 0 })
    if (!item.isSendable)
      void written.then(() => {
        item.isSendable = true
        this.#wake?.()
      })
    if (this.#bytes > this.#maxBytes) this.#makeRoom(item)
    if (this.#reserved - this.#nextSeq < SEQ_BLOCK / 10) void this.#reserve()
    this.#wake?.()
  }

  /** The next events to send, oldest first; empty when there is none that may be sent. */
  batch(): Publication['events'] {
    const batch: Publication['events'] = []
    let bytes = 0
    for (const item of this.#waiting) {
      if (!item.isSendable || item.seq > this.#reserved) break
      bytes += item.bytes
      if (batch.length > 0 && (batch.length === Outbox.batchMaxEvents || bytes > Outbox.batchMaxBytes)) break
      const event = orchestratorEventSchema.parse(JSON.parse(item.text))
      batch.push({ seq: item.seq, event, ...(item.lost === 0 ? {} : { lost: item.lost }) })
    }
    return batch
  }

  /** The relay has taken everything up to this number. */
  taken(seq: number): void {
    const behind = this.#waiting.findIndex((item) => item.seq > seq)
    const gone = this.#waiting.splice(0, behind === -1 ? this.#waiting.length : behind)
    for (const { bytes } of gone) this.#bytes -= bytes
    this.#journal.taken(seq)
  }

  /** Resolves when the relay has taken everything, or after so many milliseconds. */
  async emptied(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs
    while (this.#waiting.length > 0 && performance.now() < deadline) await sleep(EMPTY_LOOK_MS)
  }

  /** Resolves when there is something to send, or the signal is aborted. */
  async filled(signal: AbortSignal): Promise<void> {
    while (!this.#isReady() && !signal.aborted)
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done)
          this.#wake = undefined
          resolve()
        }
        this.#wake = done
        signal.addEventListener('abort', done, { once: true })
      })
  }

  #isReady(): boolean {
    const [first] = this.#waiting
    return first?.isSendable === true && first.seq <= this.#reserved
  }

  // Numbers are never used twice, also not by a process that died before it had written what it sent.
  async #reserve(): Promise<void> {
    if (this.#isReserving) return
    this.#isReserving = true
    const upTo = this.#reserved + SEQ_BLOCK
    await this.#journal.reserve(upTo)
    this.#reserved = upTo
    this.#isReserving = false
    this.#wake?.()
  }

  /** Gives up the oldest progress, then the oldest changes of state; never how a command ended, nor what was just added. */
  #makeRoom(newest: Waiting): void {
    const target = this.#maxBytes * (1 - ROOM_PART)
    const dropped = new Set<Waiting>()
    for (const kind of ['progress', 'state'] as const)
      for (const item of this.#waiting) {
        if (this.#bytes <= target) break
        if (item.kind !== kind || item === newest) continue
        dropped.add(item)
        this.#bytes -= item.bytes
      }
    if (dropped.size === 0) return
    const marked = new Set<Waiting>()
    let lost = 0
    for (const item of this.#waiting) {
      if (dropped.has(item)) lost += 1 + item.lost
      else if (lost > 0) {
        item.lost += lost
        lost = 0
        marked.add(item)
      }
    }
    this.#waiting = this.#waiting.filter((item) => !dropped.has(item))
    this.#journal.drop(
      [...dropped].map(({ seq }) => seq),
      [...marked].map(({ seq, lost }) => ({ seq, lost })),
    )
  }
}

function kindOf(event: OrchestratorEvent): ItemKind {
  switch (event.type) {
    case 'command_progress':
      return 'progress'
    case 'command_result':
    case 'command_error':
      return 'final'
    case 'command_ack':
    case 'session_updated':
    case 'session_removed':
    case 'project_updated':
    case 'project_removed':
    case 'orchestrator_updated':
    case 'question_asked':
    case 'question_answered':
    case 'question_withdrawn':
      return 'state'
    case 'egress':
      return 'progress'
    default:
      return event satisfies never
  }
}

/** How a command ended that had begun must not be told before it is certain that the same will be told for ever. */
function mustBeKeptFirst(event: OrchestratorEvent): boolean {
  if (event.type === 'command_error') return event.state !== 'rejected' && event.state !== 'expired'
  return event.type === 'command_result'
}

function sizeOf(text: string): number {
  return Buffer.byteLength(text) + ITEM_OVERHEAD
}

function isSayable({ text }: OutboxItem): boolean {
  return orchestratorEventSchema.safeParse(JSON.parse(text)).success
}
