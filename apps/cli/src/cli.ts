import { AioError } from '@ai-orchestration/protocol'
import { type Client, createClient, newCommandId } from '@ai-orchestration/sdk'
import type { CliConfig } from './config.ts'
import { EXIT } from './exit-code.ts'
import { Output } from './output/output.ts'
import { findRelay, type RelayAddress } from './relay-address.ts'
import { readStdin } from './stdin.ts'

/** Flags that every command understands. */
export interface GlobalFlags {
  relay?: string | undefined
  token?: string | undefined
  orchestrator?: string | undefined
  json?: boolean | undefined
  /** Milliseconds. */
  timeout?: number | undefined
}

/** How long a call waits for the relay at most, in milliseconds: a person at a prompt waits no longer. */
const CONNECT_TIMEOUT_MS = 3_000

/** What a command works with: settings, words, and the relay. */
export class Cli {
  readonly config: CliConfig
  readonly flags: GlobalFlags
  readonly out: Output

  constructor(config: CliConfig, flags: GlobalFlags) {
    this.config = config
    this.flags = flags
    this.out = new Output({ isJson: flags.json === true, canColour: config.canColour })
  }

  /** Which relay, and as whom. */
  async address(): Promise<RelayAddress> {
    const token = this.flags.token === '-' ? (await readStdin()).trim() : this.flags.token
    return findRelay(this.config, { relay: this.flags.relay, token })
  }

  /** A connection to the relay. @throws AioError UNAUTHORIZED when there is no token to present. */
  async connect(): Promise<Client> {
    const { url, token } = await this.address()
    if (token === undefined)
      throw new AioError(
        'UNAUTHORIZED',
        `There is no token for the relay at ${url}. Log in with: aio login ${url.replace(/\/ws$/, '')}`,
      )
    return createClient({
      url,
      token,
      // A little less than --timeout, so that the better of the two reasons is told.
      connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, (this.flags.timeout ?? CONNECT_TIMEOUT_MS) * 0.9),
    })
  }

  /** Does something with a connection and closes it, within `--timeout`. @throws AioError TIMEOUT and the action's own. */
  async withClient<T>(action: (aio: Client) => Promise<T>): Promise<T> {
    await using aio = await this.connect()
    return await this.within(action(aio))
  }

  /**
   * Waits for a command, under an id made here, so that a person who stops waiting knows what to look for.
   *
   * @throws AioError of the command, TIMEOUT after `--timeout`.
   */
  async command<T>(action: (commandId: string) => Promise<T>): Promise<T> {
    const commandId = newCommandId()
    const look = `Look at it with: aio commands get ${commandId}`
    const interrupted = () => {
      this.out.note(`Stopped waiting; the command goes on. ${look}`)
      process.exit(EXIT.interrupted)
    }
    process.once('SIGINT', interrupted)
    try {
      return await this.within(action(commandId), `The command goes on. ${look}`)
    } finally {
      process.off('SIGINT', interrupted)
    }
  }

  /** Waits no longer than `--timeout`. @throws AioError TIMEOUT. */
  async within<T>(work: Promise<T>, hint = 'Give it longer with --timeout.'): Promise<T> {
    const { timeout } = this.flags
    if (timeout === undefined) return await work
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new AioError('TIMEOUT', `No answer within ${timeout / 1_000} seconds. ${hint}`)),
        timeout,
      )
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** The orchestrator that `--orchestrator` names by id or name. @throws AioError ORCHESTRATOR_NOT_FOUND, CONFLICT. */
  async orchestratorId(aio: Client): Promise<string | undefined> {
    const wanted = this.flags.orchestrator
    return wanted === undefined ? undefined : await machineId(aio, wanted)
  }
}

/** The id of a machine that is given by id or name. @throws AioError ORCHESTRATOR_NOT_FOUND, CONFLICT. */
export async function machineId(aio: Client, wanted: string): Promise<string> {
  const all = await aio.orchestrators.list.query()
  const found = all.filter((one) => one.id === wanted || one.name === wanted)
  const [only] = found
  if (only === undefined)
    throw new AioError(
      'ORCHESTRATOR_NOT_FOUND',
      `There is no orchestrator ${JSON.stringify(wanted)}. See: aio orchestrators`,
    )
  if (found.length > 1)
    throw new AioError(
      'CONFLICT',
      `${found.length} orchestrators are named ${JSON.stringify(wanted)}. Give the id: aio orchestrators`,
    )
  return only.id
}
