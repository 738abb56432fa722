import { readFileSync } from 'node:fs'
import type { EdgeLimits } from './limits.ts'

const OWN_FILES = 48 // database, its log and lock, threads, stdio, a static file being sent
const HTTP_SPARE = 16 // connections beyond the WebSockets: whoever is refused one, and whoever asks for the health

/**
 * The limits as far as this process may open files: a relay that has none left could neither write its database nor tell anyone
 * why, so it refuses new sockets before that (S-5).
 */
export function withinOpenFiles(limits: EdgeLimits, openFilesMax: number | undefined = readOpenFilesMax()): EdgeLimits {
  if (openFilesMax === undefined) return limits
  const forSockets = Math.max(HTTP_SPARE + 1, openFilesMax - OWN_FILES)
  return {
    ...limits,
    tcpConnectionsMax: Math.min(limits.tcpConnectionsMax, forSockets),
    connectionsMax: Math.min(limits.connectionsMax, forSockets - HTTP_SPARE),
  }
}

/** What the kernel allows this process; `undefined` where it does not say so in /proc. */
function readOpenFilesMax(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined // not Linux
  }
}
