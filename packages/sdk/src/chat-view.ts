import type { ChatEntry, ChatHead, ChatItem } from '@ai-orchestration/protocol'

/** What the items of a chat amount to: its entries in their order, and how it stands. */
export class ChatView {
  /** How the conversation stands; undefined until the first word of it. */
  head: ChatHead | undefined
  /** True once everything there was has been received, and what follows is news. */
  isLive = false
  readonly #entries = new Map<string, ChatEntry>()
  #sorted: readonly ChatEntry[] | undefined

  /** All entries received so far, oldest first; a new array after every change of one. */
  get entries(): readonly ChatEntry[] {
    this.#sorted ??= [...this.#entries.values()].sort((a, b) => a.order - b.order)
    return this.#sorted
  }

  /** One entry. */
  get(id: string): ChatEntry | undefined {
    return this.#entries.get(id)
  }

  /** Takes in an item. */
  apply(item: ChatItem): void {
    switch (item.type) {
      case 'entry':
        this.#put(item.entry)
        return
      case 'append': {
        const entry = this.#entries.get(item.id)
        if (entry?.type === 'message') this.#put({ ...entry, text: entry.text + item.text })
        return
      }
      case 'head':
        this.head = item.head
        return
      case 'live':
        this.isLive = true
        return
      default:
        item satisfies never
    }
  }

  /** Takes in earlier entries, as `chat.history` answers them. */
  prepend(entries: readonly ChatEntry[]): void {
    for (const entry of entries) if (!this.#entries.has(entry.id)) this.#put(entry)
  }

  #put(entry: ChatEntry): void {
    this.#entries.set(entry.id, entry)
    this.#sorted = undefined
  }
}
