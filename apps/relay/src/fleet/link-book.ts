import { AioError, type Dispatch, type HostFacts, type Principal } from '@ai-orchestration/protocol'
import { hashSecret, matchesHash, newSecret } from '../auth/secret.ts'
import type { Peer } from '../context.ts'
import { Mailbox } from './mailbox.ts'

/** One connection of one orchestrator. */
export interface Link {
  readonly epoch: number
  readonly orchestratorId: string
  /** The token it registered with; no other may act under its epoch. */
  readonly tokenId: string
  readonly peer: Peer
  /** What the machine said of itself. */
  readonly facts: HostFacts | undefined
  /** True when it proved its key: then its token alone is not enough on another connection. */
  readonly isProven: boolean
  /** Known to the one who registered alone; whoever presents it on another connection is the same machine. */
  readonly key: string
  /** Connections that are shown to be its own. */
  readonly ownPeers: WeakSet<Peer>
  readonly dispatches: Mailbox<Dispatch>
  /** Aborted when the link ends. */
  readonly ended: AbortController
}

/** Who acts for an orchestrator, and on which connection. */
export interface Caller {
  principal: Principal
  peer: Peer | undefined
  linkKey?: string | undefined
}

/** Which orchestrators are connected, and by which epoch. */
export class LinkBook {
  readonly #byOrchestrator = new Map<string, Link>()
  readonly #byEpoch = new Map<number, Link>()
  #lastEpoch: number

  /** @param firstEpoch the clock, so that epochs also grow over restarts of the relay. */
  constructor(firstEpoch: number = Date.now()) {
    this.#lastEpoch = firstEpoch
  }

  /** Opens a link; the caller has closed an earlier one of the same orchestrator. */
  open(options: Pick<Link, 'orchestratorId' | 'tokenId' | 'peer' | 'facts' | 'isProven'>): Link {
    this.#lastEpoch += 1
    const link: Link = {
      epoch: this.#lastEpoch,
      ...options,
      key: newSecret(),
      ownPeers: new WeakSet([options.peer]),
      dispatches: new Mailbox<Dispatch>(),
      ended: new AbortController(),
    }
    this.#byOrchestrator.set(link.orchestratorId, link)
    this.#byEpoch.set(link.epoch, link)
    return link
  }

  /** Ends a link and what hangs on it. */
  close(link: Link): void {
    this.#byEpoch.delete(link.epoch)
    if (this.#byOrchestrator.get(link.orchestratorId) === link) this.#byOrchestrator.delete(link.orchestratorId)
    link.dispatches.close()
    link.ended.abort()
  }

  /** The present link of an orchestrator, when it is online. */
  byOrchestrator(orchestratorId: string): Link | undefined {
    return this.#byOrchestrator.get(orchestratorId)
  }

  /** The link that was opened on a connection. */
  byPeer(peer: Peer): Link | undefined {
    return this.#byOrchestrator.values().find((link) => link.peer === peer)
  }

  /** The link of an epoch, for the one who registered it. @throws AioError CONFLICT when it is over, FORBIDDEN */
  require({ principal, peer, linkKey }: Caller, epoch: number): Link {
    const link = this.#byEpoch.get(epoch)
    if (link === undefined)
      throw new AioError(
        'CONFLICT',
        'This epoch is over: the orchestrator has connected again since, or the relay has restarted. Register again.',
      )
    if (link.tokenId !== principal.tokenId)
      throw new AioError('FORBIDDEN', 'This epoch belongs to an orchestrator that registered with another token.')
    if (!link.isProven) return link
    if (peer !== undefined && linkKey !== undefined && matchesHash(linkKey, hashSecret(link.key)))
      link.ownPeers.add(peer)
    if (peer === undefined || !link.ownPeers.has(peer))
      throw new AioError('FORBIDDEN', 'This connection is not one of the machine that registered under this epoch.')
    return link
  }
}
