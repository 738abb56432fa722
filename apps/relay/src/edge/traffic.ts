import { Counts } from '../metrics/counts.ts'

/** What has gone over all sockets so far. */
export class Traffic {
  /** Bytes that were handed to sockets. */
  sentBytes = 0
  /** Sockets that the relay closed, by close code. */
  readonly closes = new Counts<number>()
  /** Upgrades that were answered with 503. */
  refused = 0
}
