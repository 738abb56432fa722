import type { CallFrame } from './frame.ts'

/** Counts the calls and subscriptions of one connection, from what comes in and what is answered (S-2). */
export class CallsInFlight {
  readonly #kinds = new Map<number | string, 'call' | 'subscription'>()
  readonly #max: { concurrentCallsMax: number; subscriptionsMax: number }
  #calls = 0
  #subscriptions = 0

  constructor(max: { concurrentCallsMax: number; subscriptionsMax: number }) {
    this.#max = max
  }

  /** Takes a call in, or says why not. */
  begin({ id, method }: CallFrame): 'taken' | 'too-many' | 'duplicate' {
    if (method === 'subscription.stop') return 'taken'
    if (this.#kinds.has(id)) return 'duplicate'
    if (method === 'subscription') {
      if (this.#subscriptions >= this.#max.subscriptionsMax) return 'too-many'
      this.#subscriptions += 1
      this.#kinds.set(id, 'subscription')
      return 'taken'
    }
    if (this.#calls >= this.#max.concurrentCallsMax) return 'too-many'
    this.#calls += 1
    this.#kinds.set(id, 'call')
    return 'taken'
  }

  /** Notes that a call, not a subscription, was answered. */
  ended(id: number | string): void {
    if (this.#kinds.delete(id)) this.#calls -= 1
  }

  /** Notes an answer on its way out. */
  answered(message: unknown): void {
    if (typeof message !== 'object' || message === null) return
    const id: unknown = Reflect.get(message, 'id')
    if (typeof id !== 'number' && typeof id !== 'string') return
    const kind = this.#kinds.get(id)
    if (kind === undefined || (kind === 'subscription' && !isLast(message))) return
    this.#kinds.delete(id)
    if (kind === 'call') this.#calls -= 1
    else this.#subscriptions -= 1
  }
}

function isLast(message: object): boolean {
  if ('error' in message) return true
  const result: unknown = Reflect.get(message, 'result')
  return typeof result === 'object' && result !== null && Reflect.get(result, 'type') === 'stopped'
}
