import type { ChatEntry, ChatHead } from '@ai-orchestration/protocol'
import { ChatView } from '@ai-orchestration/sdk'
import { ulid } from 'ulid'
import { type ReadError, readError } from '../relay/read-error.ts'
import { relayClient } from '../relay/relay-client.ts'
import type { SentPrompt } from './rows.ts'

/** Wait before a conversation that could not be watched is tried again, in milliseconds. */
const RETRY_MS = 1_500
/** Entries asked for at once when a person scrolls up. */
const PAGE_ENTRIES = 200

/** A conversation as the page shows it. */
export interface ChatState {
  entries: readonly ChatEntry[]
  head: ChatHead | undefined
  /** Everything there was has been received. */
  isLive: boolean
  /** Prompts of this page that have not come back yet, or could not be sent. */
  sent: readonly SentPrompt[]
  /** Whether there are entries before the first one. */
  hasEarlier: boolean
  /** Why nothing is received; it is tried again. */
  error: ReadError | undefined
}

/** What is known of a conversation before anything is. */
export const NO_CHAT: ChatState = {
  ...{ entries: [], head: undefined, isLive: false, sent: [], hasEarlier: false, error: undefined },
}

/** Watches one session's conversation for as long as it is not stopped, over reconnects and restarts, and tells of it once a frame. */
export class ChatFeed {
  readonly #sessionId: string
  readonly #tell: (state: ChatState) => void
  readonly #view = new ChatView()
  readonly #stop = new AbortController()
  #revision: number | undefined
  #sent: readonly SentPrompt[] = []
  #error: ReadError | undefined
  #isAtBeginning = false
  #isLoading = false
  #frame: number | undefined

  constructor(sessionId: string, tell: (state: ChatState) => void) {
    this.#sessionId = sessionId
    this.#tell = tell
    void this.#follow()
  }

  /** Stops watching; the agent works on. */
  stop(): void {
    this.#stop.abort()
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame)
  }

  /** Asks the agent something; it is shown at once, and as not sent when the relay does not take it. */
  async prompt(text: string): Promise<void> {
    const id = ulid()
    this.#setSent([...this.#sent, { id, text, at: new Date().toISOString() }])
    try {
      await relayClient().chat.prompt.mutate({ sessionId: this.#sessionId, text, commandId: id })
    } catch (thrown) {
      const { message } = readError(thrown)
      this.#setSent(this.#sent.map((each) => (each.id === id ? { ...each, error: message } : each)))
    }
  }

  /** Forgets a prompt that could not be sent. */
  forget(id: string): void {
    this.#setSent(this.#sent.filter((each) => each.id !== id))
  }

  /** Loads the entries before the first one. @throws AioError as the relay says. */
  async loadEarlier(): Promise<void> {
    const first = this.#view.entries[0]
    if (first === undefined || this.#isLoading || !this.#hasEarlier) return
    this.#isLoading = true
    try {
      const page = await relayClient().chat.history.query({
        ...{ sessionId: this.#sessionId, before: first.order, limit: PAGE_ENTRIES },
      })
      this.#isAtBeginning = page.length === 0
      this.#view.prepend(page)
      this.#tellSoon()
    } finally {
      this.#isLoading = false
    }
  }

  get #hasEarlier(): boolean {
    return !this.#isAtBeginning && (this.#view.entries[0]?.order ?? 1) > 1
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const chat = await relayClient().chat(this.#sessionId, { after: this.#revision, signal })
        this.#error = undefined
        for await (const item of chat) {
          this.#view.apply(item)
          // Before all is there, going on after an item would leave out what comes before it.
          if (this.#view.isLive) this.#revision = item.rev
          this.#tellSoon()
        }
      } catch (thrown) {
        if (signal.aborted) return
        this.#error = readError(thrown)
        this.#tellSoon()
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  #setSent(sent: readonly SentPrompt[]): void {
    this.#sent = sent
    this.#tellSoon()
  }

  #tellSoon(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined
      if (this.#stop.signal.aborted) return
      const { entries, head, isLive } = this.#view
      // What has come back is in the conversation under the same id.
      this.#sent = this.#sent.filter((each) => this.#view.get(each.id) === undefined)
      this.#tell({
        ...{ entries, head, isLive, sent: this.#sent, error: this.#error },
        hasEarlier: isLive && this.#hasEarlier,
      })
    })
  }
}
