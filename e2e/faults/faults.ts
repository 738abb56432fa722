import { execFile } from 'node:child_process'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'
import { reconnectStorm } from './storm.ts'
import type { Direction, TcpProxy, Weather } from './tcp-proxy.ts'
import type { Machine, World } from './world.ts'

const run = promisify(execFile)

/** What a fault is done to, and how hard. */
export interface FaultSetting {
  world: World
  ledger: Ledger
  random: Random
  /** Longest time that something stays broken, in milliseconds. */
  longestMs: number
  /** Clients of a storm. */
  stormClients: number
}

/** One way in which things go wrong; resolves when it is over, healed or not. @returns what exactly it did. */
export interface Fault {
  name: string
  /** Processes that are other processes afterwards. */
  restarts?: 'relay' | 'machine'
  inject: (setting: FaultSetting) => Promise<string>
}

/** Every fault, by the ids of the test catalogue. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'relay killed (F-01)',
    restarts: 'relay',
    inject: async ({ world, random, longestMs }) => {
      await world.relay.kill()
      const ms = await pause(random, Math.min(longestMs, 5_000))
      await world.relay.restart()
      return `down for ${ms} ms`
    },
  },
  {
    name: 'relay restarted in order',
    restarts: 'relay',
    inject: async ({ world }) => {
      await world.relay.stop()
      await world.relay.restart()
      return ''
    },
  },
  {
    name: 'orchestrator killed (F-04)',
    restarts: 'machine',
    inject: async ({ world, random, longestMs }) => {
      const machine = random.pick(world.machines)
      await machine.process.kill()
      const ms = await pause(random, Math.min(longestMs, 5_000))
      machine.process.start()
      return `machine ${world.machines.indexOf(machine)} down for ${ms} ms`
    },
  },
  {
    name: 'relay frozen (F-07)',
    inject: async ({ world, random, longestMs }) => `for ${await freeze(world.relay.pid, random, longestMs)} ms`,
  },
  {
    name: 'orchestrator frozen',
    inject: async ({ world, random, longestMs }) =>
      `for ${await freeze(random.pick(world.machines).process.pid, random, longestMs)} ms`,
  },
  {
    name: 'orchestrator behind a dead path (F-08)',
    inject: ({ world, random, longestMs }) => stall(random.pick(world.machines), ['up', 'down'], random, longestMs),
  },
  {
    name: 'orchestrator is not heard (F-09)',
    inject: ({ world, random, longestMs }) => stall(random.pick(world.machines), ['up'], random, longestMs),
  },
  {
    name: 'orchestrator does not hear (F-09)',
    inject: ({ world, random, longestMs }) => stall(random.pick(world.machines), ['down'], random, longestMs),
  },
  {
    name: 'clients behind a dead path (F-10)',
    inject: async ({ world, random, longestMs }) =>
      `for ${await weather(world.front, { stalls: ['up', 'down'] }, random, longestMs)} ms`,
  },
  {
    name: '500 ± 200 ms of latency everywhere (F-10)',
    inject: async ({ world, random, longestMs }) => {
      const latency: Weather = { delayMs: () => random.between(300, 700) }
      return `for ${await everywhere(world, latency, random, longestMs)} ms`
    },
  },
  {
    name: '10 KB per second everywhere (F-10)',
    inject: async ({ world, random, longestMs }) =>
      `for ${await everywhere(world, { bytesPerSecond: 10_000 }, random, longestMs)} ms`,
  },
  {
    name: 'slices of one byte everywhere (F-10)',
    inject: async ({ world, random, longestMs }) =>
      `for ${await everywhere(world, { isSliced: true }, random, longestMs)} ms`,
  },
  {
    name: 'connections cut within a frame (F-10)',
    inject: async ({ world, random }) => {
      for (const network of random.pick([networks(world), [world.front], [random.pick(world.machines).network]]))
        network.cutNext()
      await sleep(300)
      return ''
    },
  },
  {
    name: 'connections half closed (F-10)',
    inject: async ({ world, random, longestMs }) => {
      const direction = random.pick<Direction>(['up', 'down'])
      const network = random.pick(networks(world))
      network.halfClose(direction)
      await pause(random, Math.min(longestMs, 5_000))
      network.reset()
      return direction
    },
  },
  {
    name: 'new connections lead nowhere (F-10)',
    inject: async ({ world, random, longestMs }) => {
      const network = random.pick(networks(world))
      network.weather = { hangs: true }
      network.reset()
      const ms = await pause(random, longestMs)
      network.weather = {}
      return `for ${ms} ms`
    },
  },
  {
    name: 'clients that reconnect without a pause (F-14, F-15)',
    inject: ({ world, ledger, stormClients }) => reconnectStorm(world, ledger, stormClients),
  },
  {
    name: 'the relay has no disk (F-17, F-18)',
    inject: async ({ world, random, longestMs }) => {
      await fileSize(world.relay.pid, '1')
      const ms = await pause(random, Math.min(longestMs, 5_000))
      await fileSize(world.relay.pid, 'unlimited')
      return `for ${ms} ms`
    },
  },
  {
    name: 'an orchestrator has no disk (F-17, F-18)',
    inject: async ({ world, random, longestMs }) => {
      const { pid } = random.pick(world.machines).process
      await fileSize(pid, '1')
      const ms = await pause(random, Math.min(longestMs, 5_000))
      await fileSize(pid, 'unlimited')
      return `for ${ms} ms`
    },
  },
  {
    name: 'the database is damaged (F-24)',
    restarts: 'relay',
    inject: async ({ world, ledger, random }) => {
      await world.relay.kill()
      ledger.losesDatabase()
      const what = await damage(join(world.relay.aioHome, 'relay/relay.db'), random)
      await world.relay.restart()
      return what
    },
  },
]

/** Makes a database file one that cannot be trusted: a page of noise in the middle, or half of it gone. */
export async function damage(path: string, random: Random): Promise<string> {
  const { size } = await stat(path)
  await using file = await open(path, 'r+')
  if (random.next() < 0.5) {
    await file.truncate(size >> 1)
    return `${size >> 1} of ${size} bytes left`
  }
  const at = Math.floor(size / 2 / PAGE) * PAGE
  await file.write(Buffer.alloc(PAGE, 0x5a), 0, PAGE, at)
  return `noise at ${at} of ${size}`
}

const PAGE = 4096 // of SQLite

async function pause(random: Random, longestMs: number): Promise<number> {
  const ms = random.between(Math.min(100, longestMs), longestMs)
  await sleep(ms)
  return ms
}

async function freeze(pid: number, random: Random, longestMs: number): Promise<number> {
  process.kill(pid, 'SIGSTOP')
  const ms = await pause(random, longestMs)
  process.kill(pid, 'SIGCONT')
  return ms
}

async function stall(
  { network }: Machine,
  stalls: readonly Direction[],
  random: Random,
  longestMs: number,
): Promise<string> {
  return `for ${await weather(network, { stalls }, random, longestMs)} ms`
}

async function weather(network: TcpProxy, bad: Weather, random: Random, longestMs: number): Promise<number> {
  network.weather = bad
  const ms = await pause(random, longestMs)
  network.weather = {}
  return ms
}

async function everywhere(world: World, bad: Weather, random: Random, longestMs: number): Promise<number> {
  for (const network of networks(world)) network.weather = bad
  const ms = await pause(random, Math.min(longestMs, 15_000))
  for (const network of networks(world)) network.weather = {}
  return ms
}

function networks({ front, machines }: World): TcpProxy[] {
  return [front, ...machines.map(({ network }) => network)]
}

async function fileSize(pid: number, limit: string): Promise<void> {
  await run('prlimit', ['--pid', String(pid), `--fsize=${limit}:unlimited`])
}
