import { isTrackedEnvelope, TRPCError } from '@trpc/server'
import { type Ending, Handover } from '../delivery/handover.ts'
import type { CallFrame } from './frame.ts'

/** Where a subscription's answers go. */
export interface SubscriptionPort {
  /** Sends the part of an answer behind its envelope. */
  say(call: CallFrame, result: object): void
  /** It is over, with an error when it broke: its id may be used again, and the client is told. */
  ended(subscription: Subscription, error?: { cause: unknown }): void
  /** Something failed that is no business of the client. */
  report(call: CallFrame, cause: unknown): void
}

/** One subscription from its call to its end. What comes of it, and in which order, is what the stock adapter sends. */
export class Subscription implements Ending {
  readonly call: CallFrame
  readonly #port: SubscriptionPort
  #abort: AbortController | undefined
  #isOver = false
  /** How to end what gives its items; absent until it does. */
  #release: (() => unknown) | undefined

  constructor(call: CallFrame, port: SubscriptionPort) {
    this.call = call
    this.#port = port
  }

  /** Aborted when it is over. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#isOver) this.#abort.abort()
    return this.#abort.signal
  }

  /** Starts it with what its procedure answered; one that was stopped meanwhile ends here. */
  async start(source: unknown): Promise<void> {
    if (!isIterable(source))
      throw new TRPCError({
        message: `Subscription ${this.call.path} did not return an observable or a AsyncGenerator`,
        code: 'INTERNAL_SERVER_ERROR',
      })
    if (this.#isOver) {
      if (!(source instanceof Handover)) await this.#dispose(source[Symbol.asyncIterator]())
      this.#port.ended(this)
      return
    }
    this.#port.say(this.call, { type: 'started' })
    if (source instanceof Handover) this.#follow(source)
    else await this.#pump(source[Symbol.asyncIterator]())
  }

  /** Ends it, whoever asks. */
  stop(): void {
    if (!this.#end()) return
    const release = this.#release
    if (release === undefined) return // `start` or the failure of its procedure says so
    const released = release()
    if (released === undefined) this.#port.ended(this)
    else void Promise.resolve(released).then(() => this.#port.ended(this))
  }

  /** It broke. When it was stopped before its procedure answered, and that is why, it has just stopped. */
  fail(cause: unknown): void {
    const wasStopped = !this.#end()
    if (wasStopped && this.#release !== undefined) return
    if (this.#release !== undefined) void this.#release()
    if (wasStopped && isAbort(cause)) this.#port.ended(this)
    else this.#port.ended(this, { cause })
    if (this.#release !== undefined) this.#port.say(this.call, { type: 'stopped' }) // had it not started, the error is all
  }

  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#abort?.abort()
    return true
  }

  #follow(source: Handover<unknown>): void {
    const { id, jsonrpc } = this.call
    const envelope = JSON.stringify(jsonrpc === undefined ? { id } : { id, jsonrpc })
    let leave: (() => void) | undefined
    let hasLeft = false
    this.#release = () => {
      hasLeft = true
      leave?.()
    }
    leave = source.begin(`${envelope.slice(0, -1)},"result":`, this)
    if (hasLeft)
      leave() // it ended while it began
    else this.#release = leave
  }

  async #pump(iterator: AsyncIterator<unknown>): Promise<void> {
    this.#release = () => this.#dispose(iterator)
    try {
      for (;;) {
        const next = await iterator.next()
        if (this.#isOver) return
        if (next.done === true) break
        this.#port.say(this.call, resultOf(next.value))
      }
    } catch (cause) {
      if (!this.#isOver) this.fail(cause)
      else if (!isAbort(cause)) this.#port.report(this.call, cause)
      return
    }
    this.#isOver = true
    this.#port.ended(this)
  }

  // A clean-up that fails is for our log: a subscription that was stopped has stopped.
  async #dispose(iterator: AsyncIterator<unknown>): Promise<void> {
    try {
      await iterator.return?.()
    } catch (cause) {
      this.#port.report(this.call, cause)
    }
  }
}

function resultOf(value: unknown): object {
  if (!isTrackedEnvelope(value)) return { type: 'data', data: value }
  const [id, data] = value
  return { type: 'data', data: { id, data }, id }
}

/** Tells whether a procedure answered items, not a value. */
export function isIterable(source: unknown): source is AsyncIterable<unknown> {
  return typeof source === 'object' && source !== null && Symbol.asyncIterator in source
}

function isAbort(cause: unknown): boolean {
  const error = cause instanceof TRPCError ? cause.cause : cause
  return error instanceof Error && error.name === 'AbortError'
}
