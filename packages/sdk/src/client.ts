import type { EventFilter, ExportFormat, SessionStats } from '@ai-orchestration/protocol'
import type { TRPCClient, TRPCLink } from '@trpc/client'
import type { Chat, ChatOptions } from './chat.ts'
import type { EventStream } from './event-stream.ts'
import type { Exec, ExecOptions } from './exec.ts'
import type { AppRouter } from './router.ts'
import type { ConnectionStatus } from './status.ts'
import type { Terminal, TerminalOptions } from './terminal.ts'

/** What a client offers beside the relay's procedures. */
export interface ClientMethods extends AsyncDisposable {
  /** Everything that happens, resuming by itself; the filter narrows it. */
  events: (filter?: EventFilter, options?: { signal?: AbortSignal | undefined }) => EventStream
  /** Opens a session's terminal. @throws AioError NOT_FOUND and others, when it cannot be watched. */
  terminal: (sessionId: string, options?: TerminalOptions) => Promise<Terminal>
  /** Watches a session's conversation with its agent. @throws AioError NOT_FOUND, INVALID_INPUT when it has none. */
  chat: (sessionId: string, options?: ChatOptions) => Promise<Chat>
  /** Runs a program inside a session. */
  exec: (sessionId: string, argv: string[], options?: ExecOptions) => Exec
  /**
   * All that a session holds beyond its base as a patch, or all its commits as a git bundle, whether it runs or not.
   *
   * @throws AioError at the first read and later, when it cannot be made to its end.
   */
  export: (
    sessionId: string,
    format: ExportFormat,
    options?: { signal?: AbortSignal | undefined },
  ) => AsyncIterable<Uint8Array>
  /** What a session uses, every two seconds, for as long as it is read. @throws AioError when it ends or is not there. */
  stats: (sessionId: string, options?: { signal?: AbortSignal | undefined }) => AsyncIterable<SessionStats>
  /** How the connection stands now. */
  readonly status: ConnectionStatus
  /** Calls back at every change of status; returns what stops it. */
  onStatus: (listener: (status: ConnectionStatus) => void) => () => void
  /** The link all calls go through, for other tRPC clients (such as React's) that shall share this connection. */
  readonly link: TRPCLink<AppRouter>
  /** Closes the connection; calls under way fail, commands go on. */
  close: () => Promise<void>
}

/** The relay's procedures, typed by its own router, and what makes them comfortable. */
export type Client = TRPCClient<AppRouter> & ClientMethods
