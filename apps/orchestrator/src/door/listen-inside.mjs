// @ts-check
// Run by doors.ts inside a session's network namespace: listens on loopback there, hands the socket to the orchestrator
// over the IPC channel, and ends. It sees nothing of the session but its network. The one file here that is no
// TypeScript: stripping types would double the time until it listens (40 to 80 ms), and every session waits for it.
import { readlinkSync } from 'node:fs'
import { createServer } from 'node:net'

/** @param {{ namespace: string } | { error: string }} word @param {import('node:net').Server} [server] */
function say(word, server) {
  process.send?.(word, server, {}, () => process.exit(0))
}

const server = createServer()
server.on('error', (error) => say({ error: error.message }))
server.listen(Number(process.argv[2]), '127.0.0.1', () => say({ namespace: readlinkSync('/proc/self/ns/net') }, server))
