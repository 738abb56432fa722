import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SUPERSEDED_EXIT_CODE } from '@ai-orchestration/protocol'

/** First and longest pause before a restart, and the time after which a run counts as a good one; milliseconds. */
const RESTART_FIRST_MS = 250
const RESTART_MAX_MS = 15_000
const STABLE_AFTER_MS = 30_000

/** How long a service may take to stop before it is killed, in milliseconds. */
const STOP_MS = 10_000

/** The services of this machine. */
export type ServiceName = 'relay' | 'orchestrator'

/**
 * A service that dies this often before it was ready will not come up by trying. The relay says what is wrong at once; an
 * orchestrator may have to wait a few seconds for the locks of one that was killed.
 */
const DEATHS_MAX: Record<ServiceName, number> = { relay: 1, orchestrator: 7 }

/** The module a service is started from. */
export function serviceMain(name: ServiceName): string {
  return fileURLToPath(import.meta.resolve(`@ai-orchestration/${name}/main`))
}

/** What a supervisor tells of its service. */
export interface SupervisorEvents {
  line: (line: string) => void
  restarting: (how: string, inMs: number) => void
}

/** One service as a child process that is started again whenever it dies, until it is told to stop. */
export class Supervised {
  readonly name: ServiceName
  readonly #env: Record<string, string | undefined>
  readonly #events: SupervisorEvents
  #child: ChildProcess | undefined
  #isStopping = false
  #deaths = 0
  #isReady = false
  #hasGivenUp = false
  #pause = new AbortController()
  #life: Promise<void> = Promise.resolve()

  constructor(name: ServiceName, env: Record<string, string | undefined>, events: SupervisorEvents) {
    this.name = name
    this.#env = env
    this.#events = events
  }

  /** Process id of the present run. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** True when it died so often before it was ready that trying again is pointless. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp
  }

  /** Says that it came up, so that from now on it is started again however often it dies. */
  markReady(): void {
    this.#isReady = true
  }

  /** Starts it. */
  start(): void {
    this.#life = this.#live()
  }

  /** Told twice to stop, a service ends at once. */
  hurry(): void {
    if (this.#isStopping) this.#child?.kill('SIGTERM')
  }

  /** Stops it, by force after ten seconds. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#pause.abort()
    const child = this.#child
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await this.#life
      clearTimeout(force)
    }
    await this.#life
  }

  async #live(): Promise<void> {
    while (!this.#isStopping) {
      const startedAt = performance.now()
      const { how, code } = await this.#runOnce()
      if (this.#isStopping) return
      if (code === SUPERSEDED_EXIT_CODE) {
        // Its other self would be thrown out in turn, and so on for ever; it said so itself.
        this.#hasGivenUp = true
        return
      }
      this.#deaths = performance.now() - startedAt < STABLE_AFTER_MS ? this.#deaths + 1 : 1
      this.#hasGivenUp = !this.#isReady && this.#deaths >= DEATHS_MAX[this.name]
      if (this.#hasGivenUp) return
      const pauseMs = Math.min(RESTART_FIRST_MS * 2 ** (this.#deaths - 1), RESTART_MAX_MS)
      this.#events.restarting(how, pauseMs)
      // Told to stop while pausing: the loop's condition ends it.
      await sleep(pauseMs, undefined, { signal: this.#pause.signal }).catch(() => undefined)
    }
  }

  #runOnce(): Promise<{ how: string; code: number | null }> {
    const child = spawn(process.execPath, [serviceMain(this.name)], {
      env: { ...this.#env, AIO_SUPERVISED: '1' },
      // The open stdin tells the service that its parent lives; it stops when that ends. A group of its own keeps the
      // terminal's Ctrl-C from it, so that we say when it stops.
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', this.#events.line)
    return new Promise((resolve) => {
      child.once('error', (error) => resolve({ how: `could not be started: ${error.message}`, code: null }))
      child.once('close', (code, signal) =>
        resolve({ how: signal === null ? `ended with status ${code}` : `was ended by ${signal}`, code }),
      )
    })
  }
}
