import { setTimeout as sleep } from 'node:timers/promises'
import {
  AioError,
  type Dispatch,
  dispatchSchema,
  LINK_VERSION,
  type OrchestratorEvent,
  type Registration,
  toAioError,
} from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'
import type { Logger } from '../log.ts'
import { Outbox } from './outbox.ts'

/** What the link needs of the rest. */
export interface LinkOptions {
  client: Client
  log: Logger
  /** What this orchestrator says of itself, made anew for each connection. */
  describe: () => Omit<Registration, 'linkVersion'>
  /** Takes what the relay dispatches. */
  onDispatch: (dispatch: Dispatch) => void
  /** Called after each registration; what it returns is disposed of when that connection ends. */
  onRegistered: (epoch: number) => Disposable
  /** A number from 0 to 1, for the jitter. */
  random?: () => number
}

/** Longest wait between two attempts to register, in milliseconds (S-5). */
const RETRY_MAX_MS = 30_000

/** The connection to the relay: registers, takes commands, publishes events, and does so again whenever it is lost. */
export class Link {
  readonly #options: LinkOptions
  readonly #outbox = new Outbox()
  readonly #closed = new AbortController()

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Sends an event as soon as the relay can take it; none is lost while this process lives. */
  publish(event: OrchestratorEvent): void {
    this.#outbox.add(event)
  }

  /**
   * Keeps the link up until it is closed.
   *
   * @throws AioError UPGRADE_REQUIRED, UNAUTHORIZED or FORBIDDEN when trying again cannot help.
   */
  async keep(): Promise<void> {
    let attempt = 0
    while (!this.#closed.signal.aborted) {
      try {
        await this.#connection(() => {
          attempt = 0
        })
      } catch (error) {
        const problem = toAioError(error)
        if (problem.code === 'UPGRADE_REQUIRED' || problem.code === 'UNAUTHORIZED' || problem.code === 'FORBIDDEN')
          throw problem
        this.#options.log.warn({ code: problem.code }, `the link to the relay is down: ${problem.message}`)
      }
      const random = this.#options.random ?? Math.random
      const ceiling = Math.min(RETRY_MAX_MS, 200 * 2 ** attempt)
      attempt = Math.min(attempt + 1, 10)
      await sleep(ceiling * random(), undefined, { signal: this.#closed.signal }).catch(() => undefined)
    }
  }

  /** One connection from registration until it is lost. */
  async #connection(onUp: () => void): Promise<void> {
    const { client, log, describe, onDispatch, onRegistered } = this.#options
    const { epoch } = await client.orchestrator.register.mutate({ linkVersion: LINK_VERSION, ...describe() })
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, this.#closed.signal])
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => undefined)
    const commands = client.orchestrator.commands.subscribe(
      { epoch },
      {
        // After a lost socket the client would ask again with an epoch that is over: register anew instead.
        onConnectionStateChange: ({ state }) => {
          if (state === 'connecting') lost.reject(new AioError('UNAVAILABLE', 'The connection to the relay was lost.'))
        },
        onData: ({ data }) => onDispatch(dispatchSchema.parse(data)),
        onError: (error) => lost.reject(error),
        onComplete: () => lost.reject(new AioError('UNAVAILABLE', 'The relay ended the connection.')),
      },
    )
    try {
      using _attached = onRegistered(epoch)
      log.info({ epoch }, 'registered with the relay')
      onUp()
      await Promise.race([this.#publishAll(epoch, signal), lost.promise, untilAborted(this.#closed.signal)])
    } finally {
      ended.abort()
      commands.unsubscribe()
    }
  }

  async #publishAll(epoch: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#outbox.filled(signal)
      const events = this.#outbox.batch()
      const last = events.at(-1)
      if (last === undefined) continue
      await this.#options.client.orchestrator.publish.mutate({ epoch, events }, { signal })
      this.#outbox.taken(last.seq)
    }
  }

  /** Ends the link. Events that the relay has not taken yet are lost with this process. */
  [Symbol.dispose](): void {
    this.#closed.abort()
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
