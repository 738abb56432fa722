import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, type Client, type ErrorCode, newCommandId } from '@ai-orchestration/sdk'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** Errors that a client may be given while something is broken; whether the command runs all the same, the ledger finds out. */
const PASSING: readonly ErrorCode[] = ['UNAVAILABLE', 'ORCHESTRATOR_OFFLINE', 'ORCHESTRATOR_NOT_FOUND', 'LIMIT']

const TICK_MS = 20
const IN_FLIGHT_MAX_PER_CLIENT = 48 // a connection may have 64

interface Call {
  ms?: number
  fails?: boolean
}

/** Clients that ask for commands at a rate, whether they are answered or not, and write down what they are told. */
export class Callers implements AsyncDisposable {
  readonly #world: World
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #clients: readonly Client[]
  readonly #perSecond: number
  readonly #inFlight = new Set<Promise<void>>()
  readonly #stopped = new AbortController()
  readonly #running: Promise<void>
  #latencies: number[] = []
  #refused = 0
  #heldBack = 0

  constructor(
    world: World,
    ledger: Ledger,
    { random, perSecond, clients = 4 }: { random: Random; perSecond: number; clients?: number },
  ) {
    this.#world = world
    this.#ledger = ledger
    this.#random = random
    this.#perSecond = perSecond
    this.#clients = Array.from({ length: clients }, () => world.client())
    this.#running = this.#run()
  }

  /** Commands that were refused with an error that passes. */
  get refused(): number {
    return this.#refused
  }

  /** Commands that were not asked for because too many had no answer. */
  get heldBack(): number {
    return this.#heldBack
  }

  /** Times of round trips in milliseconds since this was last called, sorted. */
  takeLatencies(): number[] {
    const taken = this.#latencies.sort((a, b) => a - b)
    this.#latencies = []
    return taken
  }

  /** Asks for no more and waits for every answer. */
  async finish(): Promise<void> {
    this.#stopped.abort()
    await this.#running
    await Promise.all(this.#inFlight)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#running
    for (const client of this.#clients) await client.close()
    await Promise.all(this.#inFlight)
  }

  async #run(): Promise<void> {
    let due = 0
    let last = performance.now()
    while (!this.#stopped.signal.aborted) {
      const now = performance.now()
      due = Math.min(due + ((now - last) / 1_000) * this.#perSecond, this.#perSecond)
      last = now
      for (; due >= 1; due -= 1) {
        if (this.#inFlight.size < this.#clients.length * IN_FLIGHT_MAX_PER_CLIENT) this.#begin(this.#one())
        else this.#heldBack += 1
      }
      await sleep(TICK_MS, undefined, { signal: this.#stopped.signal }).catch(() => undefined)
    }
  }

  #begin(call: Promise<void>): void {
    const counted = call.finally(() => this.#inFlight.delete(counted))
    this.#inFlight.add(counted)
  }

  #one(): Promise<void> {
    const chance = this.#random.next()
    if (chance < 0.9) return this.#ask(newCommandId(), {})
    if (chance < 0.94) return this.#ask(newCommandId(), { ms: this.#random.between(50, 1_500) })
    if (chance < 0.95) return this.#ask(newCommandId(), { fails: true })
    if (chance < 0.96) return this.#twins()
    if (chance < 0.97) return this.#rivals()
    if (chance < 0.98) return this.#cancelled()
    return this.#ask(newCommandId(), {}, { ttlMs: this.#random.between(20, 2_000) })
  }

  /** One id, asked for by several at once (C-3). */
  async #twins(): Promise<void> {
    const id = newCommandId()
    const orchestratorId = this.#machine()
    await Promise.all([0, 1, 2].map(() => this.#ask(id, { ms: 20 }, { orchestratorId })))
  }

  /** One id with two contents: one runs, the other is a conflict (C-3). */
  async #rivals(): Promise<void> {
    const id = newCommandId()
    const orchestratorId = this.#machine()
    await Promise.all([
      this.#ask(id, { ms: 20 }, { orchestratorId, mayConflict: true }),
      this.#ask(id, { ms: 21 }, { orchestratorId, mayConflict: true }),
    ])
  }

  async #cancelled(): Promise<void> {
    const commandId = newCommandId()
    const asked = this.#ask(commandId, { ms: 300 })
    await sleep(this.#random.between(0, 100))
    await this.#client()
      .commands.cancel.mutate({ commandId })
      .catch((error: unknown) => this.#excuse(error, ['NOT_FOUND']))
    await asked
  }

  async #ask(
    commandId: string,
    { ms, fails }: Call,
    options: { orchestratorId?: string; ttlMs?: number; mayConflict?: boolean } = {},
  ): Promise<void> {
    const { orchestratorId = this.#machine(), ttlMs, mayConflict = false } = options
    this.#ledger.asks(commandId)
    const begun = performance.now()
    const input = {
      file: this.#world.marksFile,
      ...(ms === undefined ? {} : { ms }),
      ...(fails === undefined ? {} : { fails }),
    }
    const request = { commandId, orchestratorId, command: 'mark', input, ...(ttlMs === undefined ? {} : { ttlMs }) }
    try {
      this.#ledger.answers(await this.#client().commands.run.mutate(request))
      if (ms === undefined) this.#latencies.push(performance.now() - begun)
    } catch (error) {
      this.#excuse(error, mayConflict ? ['CONFLICT'] : [])
    }
  }

  #excuse(error: unknown, also: readonly ErrorCode[]): void {
    if (error instanceof AioError && (PASSING.includes(error.code) || also.includes(error.code))) {
      if (!also.includes(error.code)) this.#refused += 1
      return
    }
    this.#ledger.violates(`a call failed with ${error instanceof AioError ? error.code : ''} ${String(error)}`)
  }

  #client(): Client {
    return this.#random.pick(this.#clients)
  }

  #machine(): string {
    return this.#random.pick(this.#world.machines).id
  }
}

/** How many commands per second the world answers at most, measured for some seconds with many in flight. */
export async function measureCapacity(world: World, ledger: Ledger, ms: number): Promise<number> {
  const clients = [world.client(), world.client()]
  const until = performance.now() + ms
  let count = 0
  const one = async (index: number) => {
    const client = clients[index % clients.length]
    const machine = world.machines[index % world.machines.length]
    if (client === undefined || machine === undefined) throw new Error('there is nobody to measure')
    while (performance.now() < until) {
      const commandId = newCommandId()
      ledger.asks(commandId)
      const input = { file: world.marksFile }
      ledger.answers(
        await client.commands.run.mutate({ commandId, orchestratorId: machine.id, command: 'mark', input }),
      )
      count += 1
    }
  }
  await Promise.all(Array.from({ length: 64 }, (_, index) => one(index)))
  for (const client of clients) await client.close()
  return Math.round((count / ms) * 1_000)
}
