import { LIMITS } from '@ai-orchestration/protocol'

/** Every limit of the relay's edge, with its unit in its name. Those of `LIMITS` are promises; the rest is ours. Tests give smaller ones. */
export const EDGE_LIMITS = {
  ...LIMITS,
  /**
   * Calls in one frame above which the socket is closed. Between `callsPerFrameMax` and this, those over the limit are answered
   * with LIMIT one by one: stock clients put all that they ask in one turn into one frame and would, if closed, send it again for ever.
   */
  callsPerFrameHardMax: 256,
  /** Largest frame before a token was presented, in bytes: a token and a little around it (S-3). */
  unauthenticatedFrameMaxBytes: 16 * 1024,
  /** How long a socket without a token keeps its place when others wait for it, in milliseconds: a slow line's round trip. */
  unauthenticatedStayMs: 1_000,
  /** WebSockets in all. */
  connectionsMax: 10_000,
  /** What a shed client is told to wait, in seconds. */
  retryAfterS: 2,
  /** How long a socket with a bad token may still be told so call by call, in milliseconds; also the pace of its reconnects. */
  rejectGraceMs: 250,
  /** How long a closing handshake may take before the socket is cut, in milliseconds. */
  closeGraceMs: 1_000,
  /** How often tokens of live sockets are looked at for expiry, in milliseconds (A-3: within a second). */
  recheckIntervalMs: 500,
  /** Time for the headers, and for the whole, of an HTTP request, in milliseconds. */
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  /** How often those two are looked at, in milliseconds. */
  httpCheckIntervalMs: 1_000,
  /** HTTP header section, in bytes. */
  headerMaxBytes: 16 * 1024,
  /** TCP connections in all, WebSockets included. */
  tcpConnectionsMax: 12_000,
}

/** The limits of {@link EDGE_LIMITS}, with any numbers. */
export type EdgeLimits = { [Name in keyof typeof EDGE_LIMITS]: number }
