import { readlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import { spawnPiped } from '../process/spawn-piped.ts'
import { createGateway, type GatewayKind } from './gateway.ts'

/** Port of the door, on the loopback of each session. */
export const DOOR_PORT = 3128
/** What an agent inside a session is told to use as its model API. */
export const DOOR_URL = `http://127.0.0.1:${DOOR_PORT}`

const LISTENER = fileURLToPath(new URL('./listen-inside.mjs', import.meta.url))
/** Opening a door takes about 0.1 s; after so many milliseconds it has failed. */
const OPEN_DEADLINE_MS = 10_000

const wordSchema = z.union([z.object({ namespace: z.string() }), z.object({ error: z.string() })])

interface Door {
  listener: NetServer
  gateway: Server
}

/**
 * The one way out of a session, which has no network: a socket that listens on the session's own loopback and is served
 * by the orchestrator from outside. It is gone with the orchestrator and attached anew after a restart.
 */
export class Doors {
  readonly #config: OrchestratorConfig['gateway']
  readonly #log: Logger
  readonly #doors = new Map<string, Door>()

  constructor(services: { config: Pick<OrchestratorConfig, 'gateway'>; log: Logger }) {
    this.#config = services.config.gateway
    this.#log = services.log
  }

  /**
   * Opens the door of a session; one that was open is closed first.
   *
   * @param pid any process in the session's network namespace.
   * @throws AioError ISOLATION_UNAVAILABLE when that namespace is the machine's own, is gone, or the port is taken.
   */
  async attach(sessionId: string, pid: number, gateway: GatewayKind): Promise<void> {
    await this.detach(sessionId)
    const listener = await listenInside(pid)
    const server = createGateway(gateway, this.#config, this.#log.child({ sessionId }))
    listener.on('connection', (socket) => server.emit('connection', socket))
    listener.on('error', (error) => this.#log.warn({ sessionId, err: error }, 'the door of a session failed'))
    await this.detach(sessionId)
    this.#doors.set(sessionId, { listener, gateway: server })
  }

  /** Tells whether a session's door is open. */
  has(sessionId: string): boolean {
    return this.#doors.has(sessionId)
  }

  /** Closes the door of a session, with all that goes through it; does nothing when there is none. */
  async detach(sessionId: string): Promise<void> {
    const door = this.#doors.get(sessionId)
    if (door === undefined) return
    this.#doors.delete(sessionId)
    door.listener.close()
    door.gateway.closeAllConnections()
    door.gateway.emit('close')
  }

  /** Closes all doors. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const sessionId of [...this.#doors.keys()]) await this.detach(sessionId)
  }
}

async function listenInside(pid: number): Promise<NetServer> {
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
  return new AioError('ISOLATION_UNAVAILABLE', `The session's way to the model API could not be opened: ${why}.`, {
    cause,
  })
}
