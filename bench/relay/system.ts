import type { WebSocket } from 'ws'
import type { ServerProcess } from './server-process.ts'

/** One of the servers that are compared, with clients that know how to speak to it. */
export interface System extends AsyncDisposable {
  readonly server: ServerProcess
  /** A client that gets every event; resolves once it does. */
  watcher(onItem: () => void): Promise<WebSocket>
  /** A client that watches something else, as far as the server can tell the difference. */
  bystander(): Promise<WebSocket>
  /** Sends events, all at once, and resolves when the server has taken them. */
  publish(count: number, text?: string): Promise<void>
  /** Runs one command through the server and a worker that answers at once. */
  run(): Promise<void>
}

/** The text of an event, when its size does not matter. */
export const EVENT_TEXT = 'Receiving objects'
