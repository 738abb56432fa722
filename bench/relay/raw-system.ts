import { join } from 'node:path'
import { connect } from './caller.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import { EVENT_TEXT, type System } from './system.ts'

/** Starts the hub alone. */
export function startRawServer(mode: 'route' | 'broadcast'): Promise<ServerProcess> {
  return startServer(join(import.meta.dirname, 'raw-hub.ts'), { args: [mode] })
}

/** Starts a hub of a few lines of raw `ws`. `route` sends an answer to the asker only, `broadcast` sends everything to all. */
export async function startRawSystem(mode: 'route' | 'broadcast'): Promise<System> {
  const server = await startRawServer(mode)
  const open = () => connect(server.url)
  const machine = await open()
  machine.send(JSON.stringify({ type: 'worker' }))
  machine.on('message', (data) => {
    const message: { type: string } = JSON.parse(data.toString())
    if (message.type === 'ask') machine.send(JSON.stringify({ ...message, type: 'answer', output: [] }))
  })
  const asker = await open()
  const waiting = new Map<number, () => void>()
  asker.on('message', (data) => {
    const { type, id }: { type: string; id: number } = JSON.parse(data.toString())
    if (type !== 'answer') return
    waiting.get(id)?.()
    waiting.delete(id)
  })
  let commands = 0
  return {
    server,
    watcher: async (onItem) => {
      const socket = await open()
      socket.on('message', onItem)
      return socket
    },
    bystander: async () => {
      const socket = await open()
      socket.on('message', () => undefined)
      return socket
    },
    publish: async (count, message = EVENT_TEXT) => {
      for (let n = 0; n < count; n += 1)
        machine.send(JSON.stringify({ type: 'event', commandId: '01JD000000000000000000BENC', progress: n, message }))
    },
    run: () => {
      commands += 1
      asker.send(JSON.stringify({ type: 'ask', id: commands, command: 'list_projects', input: {} }))
      return new Promise((resolve) => waiting.set(commands, resolve))
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
