import { setTimeout as sleep } from 'node:timers/promises'
import {
  AioError,
  type Dispatch,
  dispatchSchema,
  LINK_VERSION,
  type Registration,
  toAioError,
} from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'
import type { HostIdentity } from '../host/host-identity.ts'
import type { Logger } from '../log.ts'
import type { Outbox } from './outbox.ts'

/** What the link needs of the rest. */
export interface LinkOptions {
  client: Client
  /** Proves to the relay which machine this is. */
  identity: Pick<HostIdentity, 'hasKey' | 'proof'>
  /** Events on their way to the relay. */
  outbox: Outbox
  log: Logger
  /** What this orchestrator says of itself, made anew for each connection. */
  describe: () => Omit<Registration, 'linkVersion' | 'outbox' | 'host'>
  /** Takes what the relay dispatches. */
  onDispatch: (dispatch: Dispatch) => void
  /** Called after each registration; what it returns is disposed of when that connection ends. */
  onRegistered: (registered: { epoch: number; linkKey: string }) => Disposable
  /** A number from 0 to 1, for the jitter. */
  random?: () => number
}

/** Longest wait between two attempts to register, in milliseconds (S-5). */
const RETRY_MAX_MS = 30_000

/** Another process with this orchestrator's id has connected: both cannot go on, and the later one counts (C-9). */
export class SupersededError extends AioError {
  constructor() {
    super(
      'CONFLICT',
      "Another process with this orchestrator's id has taken its place at the relay. If AIO_HOME was copied to another machine, remove `orchestrator/id` and `orchestrator/journal.db` from the copy, so that it gets an id of its own. Sessions go on.",
    )
  }
}

/** The connection to the relay: registers, takes commands, publishes events, and does so again whenever it is lost. */
export class Link {
  readonly #options: LinkOptions
  readonly #closed = new AbortController()

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /**
   * Keeps the link up until it is closed.
   *
   * @throws AioError UPGRADE_REQUIRED, UNAUTHORIZED or FORBIDDEN when trying again cannot help; {@link SupersededError}
   * when another process with this orchestrator's id took its place.
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
        if (this.#options.client.status.state === 'superseded') throw new SupersededError()
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
    const { client, identity, log, outbox, describe, onDispatch, onRegistered } = this.#options
    const challenge = identity.hasKey ? (await client.orchestrator.challenge.query()).challenge : undefined
    const host = identity.proof(challenge)
    const registration = { linkVersion: LINK_VERSION, outbox: outbox.id, host, ...describe() }
    const { epoch, clock, linkKey } = await client.orchestrator.register.mutate(registration)
    // Never ahead of the relay's clock, as the answer took its time: a command is never refused too early for it.
    const behind = clock - performance.now()
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
        onData: ({ data }) => onDispatch(aged(dispatchSchema.parse(data), performance.now() + behind)),
        onError: (error) => lost.reject(error),
        onComplete: () => lost.reject(new AioError('UNAVAILABLE', 'The relay ended the connection.')),
      },
    )
    try {
      using _attached = onRegistered({ epoch, linkKey })
      log.info({ epoch }, 'registered with the relay')
      onUp()
      await Promise.race([this.#publishAll(epoch, signal), lost.promise, untilAborted(this.#closed.signal)])
    } finally {
      ended.abort()
      commands.unsubscribe()
    }
  }

  async #publishAll(epoch: number, signal: AbortSignal): Promise<void> {
    const { client, outbox } = this.#options
    while (!signal.aborted) {
      await outbox.filled(signal)
      const events = outbox.batch()
      const last = events.at(-1)
      if (last === undefined) continue
      await client.orchestrator.publish.mutate({ epoch, events }, { signal })
      outbox.taken(last.seq)
    }
  }

  /** Ends the link. Events that the relay has not taken yet stay in the outbox. */
  [Symbol.dispose](): void {
    this.#closed.abort()
  }
}

/** What is left of a command's time to live after its way here: it may have waited in a network, or for us (C-7). */
function aged(dispatch: Dispatch, relayNow: number): Dispatch {
  if (dispatch.type !== 'run') return dispatch
  return { ...dispatch, ttlMs: dispatch.ttlMs - Math.max(0, relayNow - dispatch.sentAt) }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
