import { readlink } from 'node:fs/promises'
import { Server as NetServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { spawnPiped } from '../process/spawn-piped.ts'
import { DOOR_PORT } from './environment.ts'

const LISTENER = fileURLToPath(new URL('./listen-inside.mjs', import.meta.url))
/** Opening a door takes about 0.1 s; after so many milliseconds it has failed. */
const OPEN_DEADLINE_MS = 10_000

const wordSchema = z.union([z.object({ namespace: z.string() }), z.object({ error: z.string() })])

/**
 * Listens on the loopback of another network namespace.
 *
 * @param pid any process in it.
 * @throws AioError ISOLATION_UNAVAILABLE when that namespace is the machine's own, is gone, or the port is taken.
 */
export async function listenInside(pid: number): Promise<NetServer> {
  if (!Number.isSafeInteger(pid) || pid <= 0) throw unavailable(`${pid} is no process`)
  const [own, theirs] = await Promise.all([readlink('/proc/self/ns/net'), namespaceOf(pid)])
  if (own === theirs) throw unavailable('the session would share the network of this machine')
  const args = [`--net=/proc/${pid}/ns/net`, '--', process.execPath, LISTENER, String(DOOR_PORT)]
  const child = spawnPiped('nsenter', args, { hasIpc: true, env: {} })
  const errors: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  child.stdout.resume()
  const { promise, resolve, reject } = Promise.withResolvers<NetServer>()
  const timer = setTimeout(() => reject(unavailable('it took too long')), OPEN_DEADLINE_MS)
  child.process.on('error', (error) => reject(unavailable(error.message)))
  child.process.on('close', () => reject(unavailable(Buffer.concat(errors).toString().trim().slice(-500))))
  child.process.on('message', (message, handle) => {
    const word = wordSchema.parse(message)
    if ('error' in word) reject(unavailable(word.error))
    else if (!(handle instanceof NetServer)) reject(unavailable('no socket came back'))
    else if (word.namespace === theirs) resolve(handle)
    else {
      // The pid was given to another process meanwhile.
      handle.close()
      reject(unavailable('the session ended'))
    }
  })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    child.process.kill('SIGKILL')
  }
}

async function namespaceOf(pid: number): Promise<string> {
  try {
    return await readlink(`/proc/${pid}/ns/net`)
  } catch (error) {
    throw unavailable('its process is gone', error)
  }
}

function unavailable(why: string, cause?: unknown): AioError {
  return new AioError('ISOLATION_UNAVAILABLE', `The session's way out could not be opened: ${why}.`, {
    cause,
  })
}
