import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Figure } from '../report.ts'
import type { ServerProcess } from './server-process.ts'
import { EVENT_TEXT, type System } from './system.ts'

const CRLF = '\r\n'

/** Starts core NATS, where `nats-server` is installed: the same hub, in Go and without WebSocket, JSON or rights. */
export async function startNatsSystem(): Promise<System | undefined> {
  const server = await startNatsServer()
  if (server === undefined) return undefined
  const machine = await NatsSocket.open(server.url)
  machine.subscribe('ask', (payload, replyTo) => machine.publish(replyTo, payload))
  const asker = await NatsSocket.open(server.url)
  const waiting = new Map<string, () => void>()
  asker.subscribe('answer', (payload) => {
    waiting.get(payload)?.()
    waiting.delete(payload)
  })
  let commands = 0
  return {
    server,
    watcher: (onItem) => subscribed(server.url, 'event', onItem),
    bystander: () => subscribed(server.url, 'another', () => undefined),
    publish: async (count, message = EVENT_TEXT) => {
      for (let n = 0; n < count; n += 1)
        machine.publish(
          'event',
          JSON.stringify({ type: 'event', commandId: '01JD000000000000000000BENC', progress: n, message }),
        )
      await machine.flushed()
    },
    run: () => {
      commands += 1
      const request = JSON.stringify({ type: 'ask', id: commands, command: 'list_projects', input: {} })
      asker.publish('ask', request, 'answer')
      return new Promise((resolve) => waiting.set(request, resolve))
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** The figure beside NATS, when there is one. */
export function besideNats(figure: Omit<Figure, 'baseline' | 'theirs'>, theirs: number | undefined): Figure[] {
  return theirs === undefined ? [] : [{ ...figure, baseline: 'core NATS', theirs }]
}

async function subscribed(url: string, subject: string, onItem: () => void) {
  const socket = await NatsSocket.open(url)
  socket.subscribe(subject, onItem)
  await socket.flushed()
  return socket
}

async function startNatsServer(): Promise<ServerProcess | undefined> {
  const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', '-1'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close').catch(() => undefined) // not installed
  const port = await new Promise<string | undefined>((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /Listening for client connections on [^ ]*:([0-9]+)$/.exec(line)
      if (found !== null) resolve(found[1])
    })
    void ended.then(() => resolve(undefined))
  })
  if (port === undefined) return undefined
  return {
    url: port,
    usage: async () => ({ cpuUs: await cpuUsOf(child.pid ?? 0), rssBytes: Number.NaN, heapBytes: Number.NaN }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** CPU time of all threads, which the kernel counts in nanoseconds. */
async function cpuUsOf(pid: number): Promise<number> {
  let ns = 0
  for (const task of await readdir(`/proc/${pid}/task`))
    ns += Number((await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8')).split(' ')[0])
  return ns / 1_000
}

/** As much of the protocol as is needed here (docs.nats.io, "Client Protocol"). */
class NatsSocket {
  readonly #socket: Socket
  readonly #pongs: (() => void)[] = []
  #onMessage: (payload: string, replyTo: string) => void = () => undefined
  #rest = ''

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay().setEncoding('latin1') // the payloads here are ASCII
    socket.on('data', (text: string) => this.#take(text))
  }

  static async open(port: string): Promise<NatsSocket> {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    const opened = new NatsSocket(socket)
    socket.write(`CONNECT {"verbose":false,"pedantic":false,"echo":false}${CRLF}`)
    await opened.flushed()
    return opened
  }

  subscribe(subject: string, onMessage: (payload: string, replyTo: string) => void): void {
    this.#onMessage = onMessage
    this.#socket.write(`SUB ${subject} 1${CRLF}`)
  }

  publish(subject: string, payload: string, replyTo = ''): void {
    this.#socket.write(`PUB ${subject} ${replyTo} ${payload.length}${CRLF}${payload}${CRLF}`)
  }

  /** Resolves once the server has handled all that was sent. */
  flushed(): Promise<void> {
    this.#socket.write(`PING${CRLF}`)
    return new Promise((resolve) => this.#pongs.push(resolve))
  }

  pause(): void {
    this.#socket.pause()
  }

  terminate(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    const all = this.#rest + text
    let at = 0
    for (;;) {
      const end = all.indexOf(CRLF, at)
      if (end === -1) break
      const words = all.slice(at, end).split(' ')
      const next = end + 2
      if (words[0] === 'MSG') {
        const after = next + Number(words.at(-1))
        if (all.length < after + 2) break
        this.#onMessage(all.slice(next, after), words.length === 5 ? (words[3] ?? '') : '')
        at = after + 2
        continue
      }
      if (words[0] === 'PONG') this.#pongs.shift()?.()
      if (words[0] === 'PING') this.#socket.write(`PONG${CRLF}`)
      if (words[0] === '-ERR') throw new Error(`NATS: ${words.join(' ')}`)
      at = next
    }
    this.#rest = all.slice(at)
  }
}
