import {
  AioError,
  type Attention,
  type ChatHead,
  type ChatItem,
  type OrchestratorEvent,
  type Session,
  streamItemBytes,
} from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'
import { ChatStore } from './chat-store.ts'
import { ChatViewer } from './chat-viewer.ts'
import { Conversation } from './conversation.ts'
import type { ConversationStart } from './opening.ts'
import type { PermissionDesk } from './permission-desk.ts'

/** What chats need to know of sessions. */
export interface ChatSessions {
  /** @throws AioError NOT_FOUND */
  require(id: string): Session
  list(): Session[]
  /** Where a session's conversation is kept, and how its agent was started when it runs. */
  chatOf(id: string): { store: string; start: ConversationStart | undefined }
  onChange(listener: (event: OrchestratorEvent) => void): () => void
  /** Told how a session's agent stands. */
  readonly attentions: {
    set(id: string, attention: Attention): void
    setConversation(id: string, conversation: string): void
  }
}

/** A watcher to be opened. */
export interface OpenChat {
  sessionId: string
  after?: number | undefined
  /** Only these entries, and then the end. */
  page?: { before: number; limit: number } | undefined
  send: (item: ChatItem) => void
  /** Called once when nothing more follows. */
  onEnd: (error?: unknown) => void
}

/** One session's conversation and who watches it. */
interface Held {
  conversation: Conversation
  store: ChatStore
  viewers: Map<ChatViewer, (error?: unknown) => void>
  run: string | undefined
}

/** The conversations with all agents of this machine that speak the Agent Client Protocol. */
export class Chats implements AsyncDisposable {
  readonly #sessions: ChatSessions
  readonly #desk: PermissionDesk
  readonly #log: Logger
  readonly #now: () => Date
  readonly #held = new Map<string, Held>()
  readonly #turns = new Map<string, Promise<void>>()
  readonly #stopListening: () => void

  /** Takes up the conversations of all sessions that run. */
  constructor(services: { sessions: ChatSessions; desk: PermissionDesk; log: Logger; now?: () => Date }) {
    this.#sessions = services.sessions
    this.#desk = services.desk
    this.#log = services.log
    this.#now = services.now ?? (() => new Date())
    for (const session of services.sessions.list()) this.#onSession(session)
    this.#stopListening = services.sessions.onChange((event) => {
      if (event.type === 'session_updated') this.#onSession(event.session)
      else if (event.type === 'session_removed') void this.#drop(event.sessionId)
    })
  }

  /** Opens a watcher, which sends nothing before it is given credit. */
  open(options: OpenChat): { credit(bytes: number): void; close(): void } {
    try {
      const held = this.#require(options.sessionId)
      if (options.page !== undefined) return onePage(held.store, options.page, options)
      const viewer = new ChatViewer({
        store: held.store,
        head: () => held.conversation.head,
        send: options.send,
        after: options.after,
      })
      held.viewers.set(viewer, options.onEnd)
      return { credit: (bytes) => viewer.credit(bytes), close: () => void held.viewers.delete(viewer) }
    } catch (error) {
      queueMicrotask(() => options.onEnd(error))
      return { credit: () => undefined, close: () => undefined }
    }
  }

  /** Queues a prompt. @throws AioError NOT_FOUND, INVALID_INPUT, NOT_RUNNING, LIMIT */
  async prompt(sessionId: string, prompt: { id: string; text: string; by: string }): Promise<void> {
    // A session that has just been started is being taken up.
    await this.#turns.get(sessionId)
    this.#require(sessionId).conversation.prompt(prompt)
  }

  /** Asks the agent of a chat that was just started; in a terminal the prompt was an argument of the agent's own. */
  async promptNew(
    session: Session,
    { id, text, by }: { id: string; text: string | undefined; by: string },
  ): Promise<void> {
    if (session.interface !== 'chat' || session.state !== 'running' || text === undefined || text === '') return
    await this.prompt(session.id, { id, text, by })
  }

  /** Cancels a prompt, or what the agent does now. @throws AioError NOT_FOUND, INVALID_INPUT */
  cancel(sessionId: string, promptId: string | undefined): 'prevented' | 'stopping' | 'too-late' {
    return this.#require(sessionId).conversation.cancel(promptId)
  }

  /** Sets one of the agent's own settings. @throws AioError NOT_FOUND, INVALID_INPUT, NOT_RUNNING */
  setOption(sessionId: string, optionId: string, value: string): void {
    this.#require(sessionId).conversation.setOption(optionId, value)
  }

  /** Lets go of all conversations; the agents work on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    await Promise.allSettled(this.#turns.values())
    for (const { conversation } of this.#held.values()) await conversation[Symbol.asyncDispose]()
    this.#held.clear()
  }

  #require(sessionId: string): Held {
    const session = this.#sessions.require(sessionId)
    const held = this.#held.get(sessionId)
    if (held !== undefined) return held
    if (session.interface !== 'chat')
      throw new AioError(
        'INVALID_INPUT',
        `The session ${sessionId} runs its agent in a terminal. Attach to it with \`aio sessions attach ${sessionId}\`, or start it again with a chat: aio sessions restart ${sessionId} --chat`,
      )
    throw new AioError('UNAVAILABLE', `The session ${sessionId} is being prepared. Try again in a moment.`)
  }

  #onSession(session: Session): void {
    if (session.interface !== 'chat') return
    const turn = (this.#turns.get(session.id) ?? Promise.resolve())
      .then(async () => await this.#follow(session.id))
      .catch((error: unknown) => this.#log.error({ session: session.id, err: error }, 'a chat could not be taken up'))
    this.#turns.set(session.id, turn)
    void turn.finally(() => {
      if (this.#turns.get(session.id) === turn) this.#turns.delete(session.id)
    })
  }

  /** Brings a conversation to how its session is now. */
  async #follow(sessionId: string): Promise<void> {
    const session = this.#sessions.list().find(({ id }) => id === sessionId)
    if (session === undefined || session.state === 'starting') return
    const { store: path, start } = this.#sessions.chatOf(sessionId)
    const held = this.#held.get(sessionId) ?? this.#hold(sessionId, path)
    if (start === undefined) {
      held.run = undefined
      await held.conversation.end()
    } else if (held.run !== start.run) {
      held.run = start.run
      await held.conversation.begin(start)
    }
  }

  #hold(sessionId: string, path: string): Held {
    const store = new ChatStore(path)
    const viewers: Held['viewers'] = new Map()
    let before: ChatHead['state'] | undefined
    const conversation: Conversation = new Conversation({
      ...{ sessionId, store, desk: this.#desk, log: this.#log, now: this.#now },
      tell: (item) => {
        for (const viewer of viewers.keys()) viewer.tell(item)
        if (item.type !== 'head' || item.head.state === before) return
        this.#tellAttention(sessionId, conversation, before, item.head.state)
        before = item.head.state
      },
    })
    const held = { conversation, store, viewers, run: undefined }
    this.#held.set(sessionId, held)
    return held
  }

  #tellAttention(
    sessionId: string,
    conversation: Conversation,
    before: ChatHead['state'] | undefined,
    now: ChatHead['state'],
  ): void {
    const { attentions } = this.#sessions
    switch (now) {
      case 'starting':
        attentions.set(sessionId, 'working')
        return
      case 'working':
      case 'needs_input':
        attentions.set(sessionId, now)
        return
      case 'idle': {
        const { last } = conversation
        const isTurnOver = before === 'working' || before === 'needs_input'
        // Only what has been spoken in is there to go on with.
        if (isTurnOver && last.conversation !== undefined) attentions.setConversation(sessionId, last.conversation)
        attentions.set(sessionId, isTurnOver && last.prompt !== 'cancelled' ? (last.prompt ?? 'done') : 'idle')
        return
      }
      // It could not begin, or its process has ended, which the session's own state says.
      case 'ended':
        attentions.set(sessionId, 'failed')
        return
      default:
        now satisfies never
    }
  }

  async #drop(sessionId: string): Promise<void> {
    const held = this.#held.get(sessionId)
    this.#held.delete(sessionId)
    if (held === undefined) return
    for (const onEnd of held.viewers.values()) onEnd(new AioError('NOT_FOUND', `The session ${sessionId} was removed.`))
    await held.conversation[Symbol.asyncDispose]().catch((error: unknown) =>
      this.#log.warn({ session: sessionId, err: error }, 'a chat could not be closed'),
    )
  }
}

/** Sends one page as far as credit reaches, and ends. */
function onePage(
  store: ChatStore,
  { before, limit }: { before: number; limit: number },
  { send, onEnd }: Pick<OpenChat, 'send' | 'onEnd'>,
): { credit(bytes: number): void; close(): void } {
  const entries = store.before(before, limit)
  let credit = 0
  let isOver = false
  return {
    credit: (bytes) => {
      credit += bytes
      while (credit > 0 && !isOver) {
        const entry = entries.shift()
        if (entry === undefined) {
          isOver = true
          onEnd()
          return
        }
        const item: ChatItem = { type: 'entry', rev: 0, entry }
        credit -= streamItemBytes(item)
        send(item)
      }
    },
    close: () => {
      isOver = true
    },
  }
}
