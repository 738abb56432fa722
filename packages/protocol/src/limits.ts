/** Every limit that more than one part must agree on, with its unit in its name. The numbers of S-1 to S-4 are promises. */
export const LIMITS = {
  /** Largest WebSocket message from a client, in bytes (S-2). */
  clientPayloadMaxBytes: 256 * 1024,
  /** Largest WebSocket message from an orchestrator, in bytes (S-2). */
  orchestratorPayloadMaxBytes: 1024 * 1024,
  /** Most calls in one batched frame (S-2). */
  callsPerFrameMax: 32,
  /** Most calls under way at once per connection (S-2). */
  concurrentCallsMax: 64,
  /** Most subscriptions open at once per connection (S-2). */
  subscriptionsMax: 64,
  /** A socket that has not authenticated by then is closed, in milliseconds (S-3). */
  authDeadlineMs: 5_000,
  /** Most unauthenticated sockets per address and in total (S-3). */
  unauthenticatedPerAddressMax: 20,
  unauthenticatedTotalMax: 500,
  /** Ping interval and the time to answer it, in milliseconds (S-4). */
  pingIntervalMs: 25_000,
  pongDeadlineMs: 10_000,
  /** Bytes waiting in a socket above which the producers of that subscription are paused, and above which it is closed (S-1). */
  bufferSoftBytes: 1024 * 1024,
  bufferHardBytes: 4 * 1024 * 1024,
  /** A one-time login code is valid for this long, in milliseconds. */
  loginCodeTtlMs: 5 * 60_000,
  /** A code that a new orchestrator joins with is valid for this long at most, in milliseconds. */
  enrollCodeTtlMs: 15 * 60_000,
  /** Most projects, and most machines, that a token can be limited to. */
  scopeMaxEntries: 100,
  /** Longest display title, prompt, clone URL and argument list, in characters or entries. */
  titleMaxChars: 200,
  promptMaxChars: 100_000,
  cloneUrlMaxChars: 2_048,
  refMaxChars: 200,
  /** Longest title and text of a question and text of an answer, in characters; a whole question, in bytes of JSON. */
  questionTitleMaxChars: 500,
  questionTextMaxChars: 16_000,
  answerTextMaxChars: 10_000,
  questionMaxBytes: 64 * 1024,
  /** Most questions of one session that may wait at once; an agent can make them. */
  questionsPerSessionMax: 50,
  argvMaxEntries: 256,
  argvMaxChars: 65_536,
  /** Terminal size, in cells. */
  terminalColsMax: 500,
  terminalRowsMax: 300,
  /** Most characters of terminal input per call. */
  terminalInputMaxChars: 65_536,
  /** Bytes of output in one stream frame; base64 of it stays under the orchestrator's payload limit. */
  streamFrameMaxBytes: 64 * 1024,
  /** Bytes an orchestrator may send on one stream before the relay grants more. */
  streamWindowBytes: 1024 * 1024,
  /** Time to live of a command unless it says otherwise, and the longest one, in milliseconds. */
  commandTtlMs: 10 * 60_000,
  commandTtlMaxMs: 24 * 3_600_000,
  /** Longest value of a project's variable and of a secret; both stay under the kernel's 128 KiB for one variable. */
  variableMaxChars: 32_768,
  secretMaxChars: 32_768,
  /** Size of a project's setup. */
  setupLinesMax: 50,
  setupLineMaxChars: 4_096,
  /** What may be asked for as a limit of a session. Below the smallest ones nothing starts any more. */
  sessionMemoryMinMb: 64,
  sessionMemoryMaxMb: 16 * 1024 * 1024,
  sessionCpusMin: 0.05,
  sessionCpusMax: 1_024,
  sessionPidsMin: 16,
  sessionPidsMax: 4_194_304, // what the kernel can count to (PID_MAX_LIMIT)
  sessionDiskMinMb: 16,
  sessionDiskMaxMb: 1024 * 1024 * 1024,
  /** Between two items of `sessions.stats`, in milliseconds. */
  statsIntervalMs: 2_000,
  /** Shortest AUTH_TOKEN, in characters. */
  authTokenMinChars: 32,
} as const
