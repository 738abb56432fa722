import type { Attention } from '@ai-orchestration/protocol'
import type { AgentReport } from '../door/reports.ts'
import type { SessionRuntime } from './runtime.ts'

/** An agent's name of a conversation, which becomes an argument of the agent again and so can be no option. */
const CONVERSATION = /^[A-Za-z0-9][A-Za-z0-9_-]{7,99}$/

/**
 * How each session's agent stands. `done` says that it has finished and nobody has looked yet, so a client that watches
 * makes it `idle`; `failed` says that it could not finish, until it is given something else to do.
 */
export class Attentions {
  readonly #runtime: Pick<SessionRuntime, 'store' | 'log'>
  /** How many clients watch a session. */
  readonly #looking = new Map<string, number>()

  constructor(runtime: Pick<SessionRuntime, 'store' | 'log'>) {
    this.#runtime = runtime
  }

  /** Notes how an agent stands. */
  set(id: string, attention: Attention): void {
    const session = this.#runtime.store.get(id)?.session
    // What does not run needs nothing.
    if (session?.state !== 'running' && session?.state !== 'paused') return
    const before = session.attention
    // That an agent waits does not say that anybody has seen what it did.
    if (attention === 'idle' && (before === 'done' || before === 'failed')) return
    const now = attention === 'done' && this.#looking.has(id) ? 'idle' : attention
    if (now !== before) this.#change(id, { session: { attention: now } })
  }

  /** Notes what the agent in a terminal says of itself; a chat tells better than it could. */
  report(id: string, { state, conversation }: AgentReport): void {
    const record = this.#runtime.store.get(id)
    if (record?.session.state !== 'running' || record.session.interface === 'chat') return
    if (conversation !== undefined) this.setConversation(id, conversation)
    this.set(id, state)
  }

  /** Notes the agent's own name of its conversation, with which it goes on when it is started again. */
  setConversation(id: string, conversation: string): void {
    if (!CONVERSATION.test(conversation) || this.#runtime.store.get(id)?.conversation === conversation) return
    this.#change(id, { conversation })
  }

  /** A client watches a session. @returns that it does so no more. */
  look(id: string): () => void {
    this.#looking.set(id, (this.#looking.get(id) ?? 0) + 1)
    if (this.#runtime.store.get(id)?.session.attention === 'done') this.#change(id, { session: { attention: 'idle' } })
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (this.#looking.get(id) ?? 1) - 1
      if (left > 0) this.#looking.set(id, left)
      else this.#looking.delete(id)
    }
  }

  #change(id: string, change: Parameters<SessionRuntime['store']['change']>[1]): void {
    const { store, log } = this.#runtime
    store
      .change(id, change)
      .catch((error: unknown) => log.error({ session: id, err: error }, 'a session could not be updated'))
  }
}
