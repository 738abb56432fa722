/** Says how a subscription that was handed over ends. */
export interface Ending {
  /** The subscription is over: the client is told `stopped`. */
  stop(): void
  /** It broke: the client is told why. */
  fail(error: unknown): void
}

/** Begins to send frames that start with this prefix; answers what to call when the subscription is over. */
export type Begin = (prefix: string, ending: Ending) => () => void

/** What the generator of such a subscription yields, once: on its way out it tells the request id, and goes no further. */
class Handover {
  readonly ended = Promise.withResolvers<void>()
  readonly #begin: Begin
  #stop: (() => void) | undefined

  constructor(begin: Begin) {
    this.#begin = begin
  }

  begin(prefix: string): void {
    this.#stop = this.#begin(prefix, { stop: this.ended.resolve, fail: this.ended.reject })
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
  }
}

/**
 * A subscription whose items go past the generator and the tRPC adapter, straight to the socket. It starts, stops, fails and
 * counts as any other; only its items are written by whoever begins it.
 *
 * @typeParam T what its items are for the client.
 */
export async function* handOver<T>(signal: AbortSignal, begin: Begin): AsyncGenerator<T, void> {
  const handover = new Handover(begin)
  const onAbort = () => handover.ended.resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    yield handover as unknown as T // `takeOver` keeps it from ever reaching a client
    await handover.ended.promise
  } finally {
    signal.removeEventListener('abort', onAbort)
    handover.stop()
  }
}

/** Looks at an answer on its way out: if it is a handover, begins it and says so; it is not to be sent then. */
export function takeOver(message: unknown): boolean {
  if (!hasResult(message)) return false
  const { result, ...envelope } = message
  if (!(result?.data instanceof Handover)) return false
  result.data.begin(`${JSON.stringify(envelope).slice(0, -1)},"result":`)
  return true
}

function hasResult(message: unknown): message is { result?: { data?: unknown } } {
  return typeof message === 'object' && message !== null && 'result' in message
}
