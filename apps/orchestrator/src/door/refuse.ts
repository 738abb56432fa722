import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

const ERROR_TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
}

/** Answers with an error that looks like the model API's own, which is what agents understand. */
export function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.destroyed || response.headersSent) return
  const body = errorBody(ERROR_TYPES[status] ?? 'api_error', message)
  // The rest of the request is not read, so the connection cannot be used again.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(body)
}

/** The same on a connection that is not, or not any more, one of HTTP. */
export function refuseSocket(socket: Duplex, status: string, message: string): void {
  socket.on('error', () => socket.destroy())
  const body = errorBody('permission_error', message)
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
  if (socket.writable) socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
}

function errorBody(type: string, message: string): string {
  return JSON.stringify({ type: 'error', error: { type, message } })
}
