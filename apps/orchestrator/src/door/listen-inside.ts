// Run by doors.ts inside a session's network namespace: listens on loopback there, hands the socket to the orchestrator
// over the IPC channel, and ends. It sees nothing of the session but its network.
import { readlinkSync } from 'node:fs'
import { createServer } from 'node:net'

/** What this program tells the orchestrator. */
export type Word = { namespace: string } | { error: string }

const say = (word: Word, server?: ReturnType<typeof createServer>): void => {
  process.send?.(word, server, {}, () => process.exit(0))
}

if (process.send !== undefined) {
  const server = createServer()
  server.on('error', (error) => say({ error: error.message }))
  server.listen(Number(process.argv[2]), '127.0.0.1', () =>
    say({ namespace: readlinkSync('/proc/self/ns/net') }, server),
  )
}
