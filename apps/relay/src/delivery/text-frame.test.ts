import { once } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { textFrame } from './text-frame.ts'

test('a real client reads frames of every length form, joined and beside those of ws', async () => {
  const texts = ['', 'é€😀', ...[125, 126, 65_535, 65_536, 200_000].map((length) => 'x'.repeat(length))]
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  let raw: Socket | undefined
  server.on('connection', (socket, request) => {
    raw = request.socket
    socket.send('before')
    raw.write(Buffer.concat(texts.map(textFrame)))
    socket.send('after')
  })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const client = new WebSocket(`ws://127.0.0.1:${address.port}`)
  const received: string[] = []
  client.on('message', (data) => received.push(data.toString()))
  await expect.poll(() => received.length).toBe(texts.length + 2)
  expect(received).toEqual(['before', ...texts, 'after'])
  client.terminate()
  server.close()
})
