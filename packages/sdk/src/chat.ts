import type { AioError, ChatItem } from '@ai-orchestration/protocol'
import { ChatView } from './chat-view.ts'
import { type Past, ResumingStream, type Sink } from './resuming-stream.ts'

/** Unread characters above which a watcher stops receiving until it has caught up; it then gets entries as they are. */
const CHAT_UNREAD_MAX = 4 * 1024 * 1024
/** How long a watcher believes that its session will be known again, in milliseconds. */
const ORCHESTRATOR_RETURN_MS = 45_000

/** How a watcher of a conversation begins. */
export interface ChatOptions {
  /** Revision to go on after instead of the last entries. */
  after?: number | undefined
  /** Ends the watcher when aborted. */
  signal?: AbortSignal | undefined
}

/** The calls a chat makes. */
export interface ChatCalls {
  watch: (input: { after?: number }, sink: Sink<ChatItem>) => () => void
  prompt: (text: string) => Promise<string>
  cancel: (promptId: string | undefined) => Promise<'prevented' | 'stopping' | 'too-late'>
  random: () => number
  onEnd: () => void
}

/**
 * A session's conversation with its agent: iterate it for what changes, `view` holds what that amounts to. It goes on by
 * itself after a reconnect.
 */
export class Chat implements AsyncIterableIterator<ChatItem, undefined>, AsyncDisposable {
  /** All that has been iterated, put together. */
  readonly view = new ChatView()
  readonly #calls: ChatCalls
  readonly #stream: ResumingStream<ChatItem>
  #received: number | undefined

  constructor(calls: ChatCalls, { after, signal }: ChatOptions) {
    this.#calls = calls
    this.#received = after
    this.#stream = new ResumingStream<ChatItem>({
      open: (sink) => calls.watch(this.#received === undefined ? {} : { after: this.#received }, sink),
      accept: (item) => {
        this.#received = item.rev
        return true
      },
      sizeOf: (item) => (item.type === 'append' ? item.text.length : 1_000),
      isLast: () => false,
      canReopen,
      highWater: CHAT_UNREAD_MAX,
      random: calls.random,
      signal,
      onEnd: calls.onEnd,
    })
  }

  /** Resolves once the first item is there. @throws AioError when the conversation cannot be watched. */
  ready(): Promise<void> {
    return this.#stream.ready()
  }

  /** Revision after the last item that was received; pass it as `after` to go on from there. */
  get revision(): number | undefined {
    return this.#received
  }

  /** Asks the agent something; it is queued behind what waits. @returns the prompt's id. @throws AioError NOT_RUNNING */
  prompt(text: string): Promise<string> {
    return this.#calls.prompt(text)
  }

  /** Cancels a prompt that waits, or what the agent does now. */
  cancel(promptId?: string): Promise<'prevented' | 'stopping' | 'too-late'> {
    return this.#calls.cancel(promptId)
  }

  /** Stops watching; the agent works on. */
  async close(): Promise<void> {
    this.#stream.end()
  }

  async next(): Promise<IteratorResult<ChatItem, undefined>> {
    const result = await this.#stream.next()
    if (result.done !== true) this.view.apply(result.value)
    return result
  }

  async return(): Promise<IteratorResult<ChatItem, undefined>> {
    this.#stream.end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.end()
  }
}

function canReopen(error: AioError, { hasStarted, failingForMs }: Past): boolean {
  switch (error.code) {
    case 'SLOW_CONSUMER':
      return true
    case 'UNAVAILABLE':
    case 'ORCHESTRATOR_OFFLINE':
      return hasStarted
    // A relay that was restarted knows no machine and no session until their orchestrator is back.
    case 'ORCHESTRATOR_NOT_FOUND':
    case 'NOT_FOUND':
      return hasStarted && failingForMs < ORCHESTRATOR_RETURN_MS
    default:
      return false
  }
}
