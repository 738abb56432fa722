import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LINK_VERSION } from '@ai-orchestration/sdk'
import { Caller, connect, subscribeCounting } from './caller.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import { EVENT_TEXT, type System } from './system.ts'

const TOKEN = 'bench'.padEnd(40, '0')
/** What a client presents itself with. */
export const TOKEN_HEADER = { authorization: `Bearer ${TOKEN}` }
const MACHINE_ID = '01JD000000000000000000BENC'
const PUBLISHED_AT_ONCE = 100 // an orchestrator joins what has happened since its last call, too

const PROGRAMS = {
  durable: '../../apps/relay/src/main.ts',
  'in memory': '../../apps/relay/src/test-support/memory-relay.ts',
}

/** Starts our relay, as users do or without its disk; what it keeps is in `aioHome`. */
export function startRelayServer(keeps: keyof typeof PROGRAMS, aioHome: string): Promise<ServerProcess> {
  const env = { AIO_HOME: aioHome, PORT: '0', HOST: '127.0.0.1', AUTH_TOKEN: TOKEN, LOG_LEVEL: 'error' }
  return startServer(join(import.meta.dirname, PROGRAMS[keeps]), { env })
}

/** Starts our relay with a registered machine that answers every command at once. @param home one that is kept, else it has its own. */
export async function startRelaySystem(keeps: keyof typeof PROGRAMS, home?: string): Promise<System> {
  const aioHome = home ?? (await mkdtemp(join(tmpdir(), 'aio-bench-')))
  const server = await startRelayServer(keeps, aioHome)
  const machine = new Caller(await connect(server.url, { ...TOKEN_HEADER, 'x-aio-role': 'orchestrator' }))
  const send = await register(machine)
  const asker = new Caller(await connect(server.url, TOKEN_HEADER))
  let commands = 0
  return {
    server,
    watcher: (onItem) => watch(server, { types: ['command_progress'] }, onItem),
    bystander: () => watch(server, { projectId: 'another' }, () => undefined),
    publish: async (count, text = EVENT_TEXT) => {
      for (let sent = 0; sent < count; sent += PUBLISHED_AT_ONCE)
        await send(Array.from({ length: Math.min(PUBLISHED_AT_ONCE, count - sent) }, () => progress(text)))
    },
    run: async () => {
      commands += 1
      const commandId = `01JD${String(commands).padStart(22, '0')}`
      await asker.call('commands.run', { commandId, command: 'list_projects', input: {} })
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      if (home === undefined) await rm(aioHome, { recursive: true, force: true })
    },
  }
}

async function watch(server: ServerProcess, input: object, onItem: () => void) {
  const socket = await connect(server.url, TOKEN_HEADER)
  await subscribeCounting(socket, { path: 'events.watch', input, onItem })
  return socket
}

const progress = (message: string) => ({ type: 'command_progress', commandId: MACHINE_ID, progress: 50, message })

/** Registers, and answers what sends events. */
async function register(machine: Caller): Promise<(events: object[]) => Promise<void>> {
  const { epoch } = (await machine.call('orchestrator.register', {
    linkVersion: LINK_VERSION,
    orchestrator: {
      id: MACHINE_ID,
      name: 'bench',
      version: '0',
      machine: { cores: 1, memoryBytes: 1, kernel: '0' },
      agents: [],
      isolation: 'full',
      warnings: [],
    },
    commands: [{ name: 'list_projects', isBuiltIn: true }],
    projects: [],
    sessions: [],
    known: [],
  })) as { epoch: number }
  let seq = 0
  const send = async (events: object[]) => {
    const numbered = events.map((event) => {
      seq += 1
      return { seq, event }
    })
    await machine.call('orchestrator.publish', { epoch, events: numbered })
  }
  await machine.subscribe('orchestrator.commands', { epoch }, (item) => {
    const { data } = item as { data: { type: string; commandId: string; command: string } }
    if (data.type === 'run')
      void send([{ type: 'command_result', commandId: data.commandId, command: data.command, output: [] }])
  })
  return send
}
