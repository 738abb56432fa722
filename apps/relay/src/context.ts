import type { Principal } from '@ai-orchestration/protocol'
import type { Services } from './services.ts'

/** The connection a call came in on, as far as procedures may use it; absent over HTTP. */
export interface Peer {
  /** Unique while the relay runs. */
  readonly id: string
  /** Aborted once the connection is gone. */
  readonly signal: AbortSignal
  /** Resolves when the connection's outbound buffer is below the soft limit; rejects with nothing, and resolves at its end too. */
  drained(): Promise<void>
  /** True while the outbound buffer is below the soft limit. */
  readonly hasRoom: boolean
  /** Sends complete WebSocket frames past the tRPC adapter, together with whatever else this turn brings. */
  deliver(frames: Buffer): void
  /** Closes the connection with one of our close codes. */
  close(code: number, reason: string): void
}

/** What every procedure can reach. */
export interface Context {
  readonly services: Services
  readonly peer: Peer | undefined
  /** The caller's IP address, for rate limits. */
  readonly address: string
  /** Who calls, checked anew at every call. @throws AioError UNAUTHORIZED */
  authenticate(): Principal
  /** What the caller calls this request, if anything; a ULID. */
  readonly givenId?: string | undefined
  /** An id that follows a call through the logs, the audit and, as its command's id, to the script; a ULID, the same for a mutation each time. */
  requestId(): string
}
