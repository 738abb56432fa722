import { type ChatHead, type ChatItem, streamItemBytes } from '@ai-orchestration/protocol'
import type { ChatStore } from './chat-store.ts'

/** Entries read at once for a viewer that has to catch up. */
const READ_ENTRIES = 50
/** Entries a new viewer begins with; older ones are pages of the history. */
const TAIL_ENTRIES = 200

/** What a viewer works with. */
export interface ChatViewerParts {
  store: ChatStore
  head: () => ChatHead
  send: (item: ChatItem) => void
  /** Go on after this revision; absent: begin with the last entries. */
  after: number | undefined
}

/**
 * One watcher of a conversation. News is passed on as it comes while there is credit; a watcher that was not given any
 * reads what has changed meanwhile from the store, each entry once and as it is now.
 */
export class ChatViewer {
  readonly #parts: ChatViewerParts
  /** Everything up to here has been sent; undefined until the last entries have been. */
  #cursor: number | undefined
  #credit = 0
  #isLive = false

  constructor(parts: ChatViewerParts) {
    this.#parts = parts
    // A revision that never was is one of a conversation that is no more.
    this.#cursor = parts.after !== undefined && parts.after <= parts.store.rev ? parts.after : undefined
  }

  /** Allows so many more bytes. */
  credit(bytes: number): void {
    this.#credit += bytes
    this.#catchUp()
  }

  /** Passes on a change. */
  tell(item: ChatItem): void {
    if (!this.#isLive) return
    if (this.#credit <= 0) {
      this.#isLive = false
      return
    }
    this.#cursor = item.rev
    this.#send(item)
  }

  #catchUp(): void {
    if (this.#isLive || this.#credit <= 0) return
    const { store, head } = this.#parts
    if (this.#cursor === undefined) {
      const { rev } = store
      // Revision 0 until all are there: who loses the connection between them begins again.
      for (const entry of store.before(undefined, TAIL_ENTRIES)) this.#send({ type: 'entry', rev: 0, entry })
      this.#cursor = rev
    }
    while (this.#credit > 0) {
      const changes = store.changedAfter(this.#cursor, READ_ENTRIES)
      for (const { entry, rev } of changes) {
        if (this.#credit <= 0) return
        this.#send({ type: 'entry', rev, entry })
        this.#cursor = rev
      }
      if (changes.length < READ_ENTRIES) {
        this.#cursor = store.rev
        this.#isLive = true
        this.#send({ type: 'head', rev: this.#cursor, head: head() })
        this.#send({ type: 'live', rev: this.#cursor })
        return
      }
    }
  }

  #send(item: ChatItem): void {
    this.#credit -= streamItemBytes(item)
    this.#parts.send(item)
  }
}
