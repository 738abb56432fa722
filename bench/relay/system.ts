import type { ServerProcess } from './server-process.ts'

/** A client's socket, as far as a measurement handles it. */
export interface Reader {
  /** Stops reading. */
  pause(): void
  /** Cuts it. */
  terminate(): void
}

/** One of the servers that are compared, with clients that know how to speak to it. */
export interface System extends AsyncDisposable {
  readonly server: ServerProcess
  /** A client that gets every event; resolves once it does. */
  watcher(onItem: () => void): Promise<Reader>
  /** A client that watches something else, as far as the server can tell the difference. */
  bystander(): Promise<Reader>
  /** Sends events, all at once, and resolves when the server has taken them. */
  publish(count: number, text?: string): Promise<void>
  /** Runs one command through the server and a worker that answers at once. */
  run(): Promise<void>
}

/** The text of an event, when its size does not matter. */
export const EVENT_TEXT = 'Receiving objects'
