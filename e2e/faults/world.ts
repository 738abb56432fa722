import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from '@ai-orchestration/sdk'
import { type OrchestratorProcess, orchestratorFor } from '../harness/orchestrator-process.ts'
import { until } from '../harness/platform.ts'
import { type RelayProcess, startRelayProcess } from '../harness/relay-process.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** An orchestrator that reaches the relay through a network of its own. */
export interface Machine {
  readonly id: string
  readonly process: OrchestratorProcess
  readonly network: TcpProxy
}

/** How a world differs from the usual one. */
export interface WorldOptions {
  machines?: number
  relayEnv?: Record<string, string>
  /** Arguments of Node itself for relay and orchestrators. */
  nodeArgs?: readonly string[]
}

/** A promise of the platform: what was healed works again within this time (C-5), in milliseconds. */
export const HEALED_WITHIN_MS = 60_000

/**
 * A real relay and real orchestrators, with networks between them and to the clients that can be made bad. Every command
 * `mark` leaves its id in one file, whichever machine runs it.
 */
export class World implements AsyncDisposable {
  readonly relay: RelayProcess
  readonly machines: readonly Machine[]
  /** The network that clients come through. */
  readonly front: TcpProxy
  readonly marksFile: string
  readonly #home: string
  /** Reaches the relay whatever the networks are like. */
  readonly #observer: Client

  private constructor(parts: { relay: RelayProcess; machines: Machine[]; front: TcpProxy; home: string }) {
    this.relay = parts.relay
    this.machines = parts.machines
    this.front = parts.front
    this.#home = parts.home
    this.marksFile = join(parts.home, 'marks')
    this.#observer = createClient({ url: parts.relay.wsUrl, token: parts.relay.token })
  }

  /** Starts everything and waits until all machines are online. */
  static async start({ machines: count = 2, relayEnv = {}, nodeArgs = [] }: WorldOptions = {}): Promise<World> {
    const home = await mkdtemp(join(tmpdir(), 'aio-world-'))
    await writeFile(join(home, 'marks'), '')
    const relay = await startRelayProcess({ env: relayEnv, nodeArgs })
    const front = await TcpProxy.before(relay.port)
    const machines: Machine[] = []
    const world = new World({ relay, machines, front, home })
    for (let index = 0; index < count; index += 1) {
      const network = await TcpProxy.before(relay.port)
      const options = { nodeArgs, env: { ORCHESTRATOR_NAME: `machine-${index}`, LOG_LEVEL: 'info' } }
      const process = await orchestratorFor({ wsUrl: network.wsUrl, token: relay.token }, options)
      await mkdir(process.aioHome)
      await writeFile(join(process.aioHome, 'commands.toml'), MARK_COMMANDS)
      process.start()
      machines.push({ id: await world.#idOf(`machine-${index}`), process, network })
    }
    return world
  }

  /** A client of this world's relay, through the front network. */
  client(): Client {
    return createClient({ url: this.front.wsUrl, token: this.relay.token })
  }

  /** A client that no bad network is before. */
  get observer(): Client {
    return this.#observer
  }

  /** Resolves when every machine is online and runs commands. @throws when that takes longer than is promised. */
  async healed(): Promise<void> {
    await until(
      async () => {
        const all = await this.#observer.orchestrators.list.query().catch(() => [])
        return this.machines.every(({ id }) => all.some((one) => one.id === id && one.state === 'online'))
      },
      HEALED_WITHIN_MS,
      () => `not every machine came back online:\n${this.lastWords()}`,
    )
  }

  /** What the machines said last, for a person who looks for a cause. */
  lastWords(): string {
    return this.machines
      .map(({ process }) =>
        process
          .output()
          .split('\n')
          .slice(-5)
          .map((line) => line.slice(0, 300))
          .join('\n'),
      )
      .join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#observer.close()
    for (const { process, network } of this.machines) {
      await process[Symbol.asyncDispose]()
      await network[Symbol.asyncDispose]()
    }
    await this.front[Symbol.asyncDispose]()
    await this.relay[Symbol.asyncDispose]()
    await rm(this.#home, { recursive: true, force: true })
  }

  async #idOf(name: string): Promise<string> {
    let id: string | undefined
    await until(async () => {
      id = (await this.#observer.orchestrators.list.query()).find((one) => one.name === name)?.id
      return id !== undefined
    }, HEALED_WITHIN_MS)
    return id ?? ''
  }
}

/** What an orchestrator's own `commands.toml` holds so that it can run `mark`. */
export const MARK_COMMANDS = `[commands.mark]
module = ${JSON.stringify(join(import.meta.dirname, 'mark-command.ts'))}
concurrency = 64
`
