/** Codes the relay closes a WebSocket with, besides those of the WebSocket protocol itself. The reason begins with an error code and a colon. */
export const CLOSE_CODES = {
  /** The relay stops or restarts: connect again, with jitter. */
  restarting: 1012,
  /** The token was revoked or has expired: log in again, do not reconnect with the same one. */
  revoked: 4003,
  /** The peer did not read fast enough: connect again and resume. */
  slow: 4008,
  /** Another connection of the same orchestrator took over: do not reconnect. */
  superseded: 4009,
  /** A frame was not a valid call, or held too many: a defect of the client. */
  badFrame: 4400,
  /** No token in time, or not a valid one: do not reconnect with the same one. */
  unauthorized: 4401,
} as const

/** Exit status of an orchestrator that another process with its id has taken the place of: not to be started again. */
export const SUPERSEDED_EXIT_CODE = 9
