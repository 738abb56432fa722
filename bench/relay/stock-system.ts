import { join } from 'node:path'
import { Caller, connect, subscribeCounting } from './caller.ts'
import { startServer } from './server-process.ts'
import { EVENT_TEXT, type System } from './system.ts'

const PUBLISHED_AT_ONCE = 100 // as our orchestrators do

/** Starts the hub that stock tRPC makes of a few procedures. */
export async function startStockSystem(): Promise<System> {
  const server = await startServer(join(import.meta.dirname, 'stock-hub.ts'))
  const machine = new Caller(await connect(server.url))
  await machine.subscribe('dispatches', undefined, (command) => {
    const { commandId } = command as { commandId: string }
    void machine.call('answer', { commandId, output: [] })
  })
  const asker = new Caller(await connect(server.url))
  let commands = 0
  return {
    server,
    watcher: async (onItem) => {
      const socket = await connect(server.url)
      await subscribeCounting(socket, { path: 'events', input: undefined, onItem })
      return socket
    },
    bystander: () => connect(server.url),
    publish: async (count, message = EVENT_TEXT) => {
      const event = { type: 'command_progress', commandId: '01JD000000000000000000BENC', progress: 50, message }
      for (let sent = 0; sent < count; sent += PUBLISHED_AT_ONCE)
        await machine.call(
          'publish',
          Array.from({ length: Math.min(PUBLISHED_AT_ONCE, count - sent) }, () => event),
        )
    },
    run: async () => {
      commands += 1
      await asker.call('run', { commandId: String(commands), command: 'list_projects', input: {} })
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
