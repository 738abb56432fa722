import { ERROR_STATUS, type WireError } from '@ai-orchestration/protocol'
import { TRPCError } from '@trpc/server'
import { tooFast } from '../auth/call-rates.ts'
import type { CallFrame } from './frame.ts'
import type { EdgeLimits } from './limits.ts'
import type { Procedures } from './procedures.ts'
import { isIterable, Subscription, type SubscriptionPort } from './subscription.ts'

/** What calls need of the connection they came in on. */
export interface CallsPort {
  /** False once it is closing: nothing is said any more. */
  readonly isOpen: boolean
  send(text: string): void
  /** The context of one call. */
  context(): object
  /** Counts a call, and says how much too early it comes, in milliseconds; 0 when it may be run. */
  tooEarlyMs(): number
  /** A call failed in a way that nobody foresaw. */
  unexpected(error: TRPCError, path: string): void
}

/** What one is told to wait whose calls were too many at once: a client that was away sends all it has in one frame. */
const RETRY_AFTER_MS = 100

type Limits = Pick<EdgeLimits, 'callsPerFrameMax' | 'concurrentCallsMax' | 'subscriptionsMax'>

/** The calls and subscriptions of one connection: run, counted (S-2), answered, and ended with it. */
export class Calls implements SubscriptionPort {
  readonly #procedures: Procedures
  readonly #limits: Limits
  readonly #port: CallsPort
  /** What is under way, by id; a call that is no subscription has no object of its own. */
  readonly #open = new Map<number | string, Subscription | undefined>()
  #subscriptions = 0

  constructor(options: { procedures: Procedures; limits: Limits; port: CallsPort }) {
    this.#procedures = options.procedures
    this.#limits = options.limits
    this.#port = options.port
  }

  /** Calls that are not answered yet, without subscriptions. */
  get underWay(): number {
    return this.#open.size - this.#subscriptions
  }

  /** Takes the calls of a frame. @returns false when one of them has the id of another that is under way. */
  take(calls: readonly CallFrame[]): boolean {
    for (const [index, call] of calls.entries()) {
      if (index >= this.#limits.callsPerFrameMax) this.refuse(call.id, tooManyInFrame(this.#limits))
      else if (call.method === 'subscription.stop') this.#open.get(call.id)?.stop()
      else if (this.#open.has(call.id)) return false
      else this.#start(call)
    }
    return true
  }

  /** Says an error that no procedure made. */
  refuse(id: number | string | null, { code, message, details }: WireError): void {
    if (!this.#port.isOpen) return
    const data = { code, httpStatus: ERROR_STATUS[code], ...(details === undefined ? {} : { details }) }
    const error = { code: -32_000, message, data }
    this.#port.send(JSON.stringify({ id, error }))
  }

  /** The connection is gone. */
  end(): void {
    for (const subscription of [...this.#open.values()]) subscription?.stop()
    this.#open.clear()
  }

  say({ id, jsonrpc }: CallFrame, result: object): void {
    if (this.#port.isOpen)
      this.#port.send(JSON.stringify(jsonrpc === undefined ? { id, result } : { id, jsonrpc, result }))
  }

  ended(subscription: Subscription, error?: { cause: unknown }): void {
    const { call } = subscription
    if (this.#open.delete(call.id)) this.#subscriptions -= 1
    if (error === undefined) this.say(call, { type: 'stopped' })
    else this.#sayError(call, error.cause)
  }

  report(call: CallFrame, cause: unknown): void {
    this.#port.unexpected(this.#procedures.explain(cause, call, this.#port.context()).error, call.path)
  }

  #start(call: CallFrame): void {
    const waitMs = this.#port.tooEarlyMs()
    if (waitMs > 0) this.refuse(call.id, tooFast(waitMs))
    else if (call.method === 'subscription') this.#subscribe(call)
    else this.#begin(call)
  }

  #begin(call: CallFrame): void {
    if (this.underWay >= this.#limits.concurrentCallsMax) {
      this.refuse(call.id, tooMany(`${this.#limits.concurrentCallsMax} calls`))
      return
    }
    this.#open.set(call.id, undefined)
    void this.#run(call)
  }

  async #run(call: CallFrame): Promise<void> {
    try {
      const data = await this.#procedures.call(call, { ctx: this.#port.context(), signal: undefined })
      if (isIterable(data))
        throw new TRPCError({
          code: 'UNSUPPORTED_MEDIA_TYPE',
          message: `Cannot return an async iterable or observable from a ${call.method} procedure with WebSockets`,
        })
      this.#open.delete(call.id)
      this.say(call, { type: 'data', data })
    } catch (cause) {
      this.#open.delete(call.id)
      this.#sayError(call, cause)
    }
  }

  #subscribe(call: CallFrame): void {
    if (this.#subscriptions >= this.#limits.subscriptionsMax) {
      this.refuse(call.id, tooMany(`${this.#limits.subscriptionsMax} subscriptions`))
      return
    }
    const subscription = new Subscription(call, this)
    this.#subscriptions += 1
    this.#open.set(call.id, subscription)
    void this.#admit(subscription)
  }

  async #admit(subscription: Subscription): Promise<void> {
    try {
      const caller = {
        ctx: this.#port.context(),
        get signal() {
          return subscription.signal
        },
      }
      await subscription.start(await this.#procedures.call(subscription.call, caller))
    } catch (cause) {
      subscription.fail(cause)
    }
  }

  #sayError(call: CallFrame, cause: unknown): void {
    const { id, jsonrpc } = call
    const { shape, error } = this.#procedures.explain(cause, call, this.#port.context())
    this.#port.unexpected(error, call.path)
    if (!this.#port.isOpen) return
    this.#port.send(JSON.stringify(jsonrpc === undefined ? { id, error: shape } : { id, jsonrpc, error: shape }))
  }
}

function tooManyInFrame({ callsPerFrameMax }: Limits): WireError {
  return {
    code: 'LIMIT',
    message: `One frame holds at most ${callsPerFrameMax} calls. Send the others a moment later.`,
    details: { retryAfterMs: RETRY_AFTER_MS },
  }
}

function tooMany(what: string): WireError {
  return {
    code: 'LIMIT',
    message: `This connection already has ${what} open. Wait for some to end, then try again.`,
    details: { retryAfterMs: RETRY_AFTER_MS },
  }
}
