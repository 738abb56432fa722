// The baseline of the relay's figures: the least a WebSocket hub can do. Run as a process of its own.
import { type RawData, type WebSocket, WebSocketServer } from 'ws'

const clients = new Set<WebSocket>()
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
let worker: WebSocket | undefined

server.on('connection', (socket) => {
  clients.add(socket)
  socket.on('close', () => clients.delete(socket))
  socket.on('message', (data: RawData) => {
    const text = data.toString()
    const message = JSON.parse(text) as { type: string; n?: number }
    if (message.type === 'worker') worker = socket
    else if (message.type === 'ask') worker?.send(text)
    else for (const client of clients) if (client !== worker) client.send(text)
  })
})
server.on('listening', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.stdout.write(`${address.port}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
