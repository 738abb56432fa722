import { AioError } from '@ai-orchestration/protocol'

/** Says how a subscription that was handed over ends. */
export interface Ending {
  /** The subscription is over: the client is told `stopped`. */
  stop(): void
  /** It broke: the client is told why. */
  fail(error: unknown): void
}

/** Begins to send frames that start with this prefix; answers what to call when the subscription is over. */
export type Begin = (prefix: string, ending: Ending) => () => void

/**
 * What a procedure answers whose items go straight to the socket as frames. It starts, stops, fails and counts as any other
 * subscription; only its items are written by whoever begins it.
 *
 * @typeParam T what its items are for the client.
 */
export class Handover<T> implements AsyncIterable<T> {
  readonly begin: Begin

  constructor(begin: Begin) {
    this.begin = begin
  }

  /** Gives the client its types, no more. @throws AioError INVALID_INPUT */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    throw new AioError('INVALID_INPUT', 'Subscriptions are served over the WebSocket at /ws.')
  }
}
