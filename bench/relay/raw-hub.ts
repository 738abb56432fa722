// Baseline: the least a WebSocket hub can do. Run as a process of its own; with `broadcast` it sends every message to all.
import { type RawData, type WebSocket, WebSocketServer } from 'ws'

const isBroadcast = process.argv[2] === 'broadcast'
const clients = new Set<WebSocket>()
const askers = new Map<number, WebSocket>()
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
let worker: WebSocket | undefined

server.on('connection', (socket) => {
  clients.add(socket)
  socket.on('close', () => clients.delete(socket))
  socket.on('message', (data: RawData) => {
    const text = data.toString()
    const { type, id } = JSON.parse(text) as { type: string; id: number }
    if (type === 'worker') worker = socket
    else if (isBroadcast || type === 'event') for (const client of clients) if (client !== socket) client.send(text)
    if (isBroadcast || type === 'event' || type === 'worker') return
    if (type === 'ask') {
      askers.set(id, socket)
      worker?.send(text)
    } else {
      askers.get(id)?.send(text)
      askers.delete(id)
    }
  })
})
server.on('listening', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.stdout.write(`ws://127.0.0.1:${address.port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
