import { setTimeout as sleep } from 'node:timers/promises'
import {
  AioError,
  type Client,
  type CommandState,
  createClient,
  type Dispatch,
  dispatchSchema,
  LINK_VERSION,
  newCommandId,
  type OrchestratorEvent,
  type Project,
  type Session,
  type StreamFrame,
  type StreamOrder,
  VERSION,
} from '@ai-orchestration/sdk'

const AT = '2026-01-01T00:00:00.000Z'

/** What a scripted orchestrator does when it is asked; each part has a default. */
export interface Script {
  /** Answers a command with its output; throwing an AioError fails it. */
  run?: (dispatch: Extract<Dispatch, { type: 'run' }>, tell: (event: OrchestratorEvent) => void) => unknown
  /** Answers an order about streams with frames. */
  stream?: (order: StreamOrder, send: (...frames: StreamFrame[]) => void) => void
}

/** An orchestrator that runs nothing: for tests of relay, SDK and CLI that need exact answers at exact moments. */
export class ScriptedOrchestrator implements AsyncDisposable {
  readonly id = newCommandId()
  /** How often each command was started. */
  readonly started = new Map<string, number>()
  readonly orders: StreamOrder[] = []
  readonly #client: Client
  readonly #script: Script
  readonly #project: Project
  readonly #sessions: Session[]
  readonly #known = new Map<string, OrchestratorEvent>()
  #outbox: { seq: number; event: OrchestratorEvent }[] = []
  #seq = 0
  #frames: StreamFrame[] = []
  #epoch = 0
  #isClosed = false
  #up = Promise.withResolvers<void>()

  constructor(relay: { wsUrl: string; token: string }, script: Script = {}) {
    this.#client = createClient({
      url: relay.wsUrl,
      token: relay.token,
      headers: { 'x-aio-role': 'orchestrator' },
      connectTimeoutMs: Number.POSITIVE_INFINITY,
    })
    this.#script = script
    this.#project = {
      id: 'demo',
      name: 'demo',
      orchestratorId: this.id,
      defaultBranch: 'main',
      createdAt: AT,
    }
    this.#sessions = [sessionOf(this.id, 'first'), sessionOf(this.id, 'second')]
    void this.#keep()
  }

  /** Resolves when it has registered for the first time. */
  ready(): Promise<void> {
    return this.#up.promise
  }

  /** Publishes an event. */
  publish(event: OrchestratorEvent): void {
    this.#seq += 1
    this.#outbox.push({ seq: this.#seq, event })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#client.close()
  }

  async #keep(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#connection()
      } catch {
        await sleep(50)
      }
    }
  }

  async #connection(): Promise<void> {
    const { orchestrator } = this.#client
    const { epoch } = await orchestrator.register.mutate({
      linkVersion: LINK_VERSION,
      orchestrator: {
        id: this.id,
        name: 'scripted',
        version: VERSION,
        machine: { cores: 1, memoryBytes: 1, kernel: 'none' },
        agents: [{ id: 'shell', name: 'Shell', installed: true, ready: true }],
        isolation: 'full',
        warnings: [],
      },
      commands: ['create_session', 'create_project', 'terminate_session', 'list_sessions', 'slow'].map((name) => ({
        name,
        isBuiltIn: name !== 'slow',
      })),
      projects: [this.#project],
      sessions: this.#sessions,
      known: [...this.started.keys()].map((commandId) => ({ commandId, state: stateOf(this.#known.get(commandId)) })),
      outbox: this.id,
    })
    this.#epoch = epoch
    const ended = Promise.withResolvers<never>()
    const commands = orchestrator.commands.subscribe(
      { epoch },
      { onData: ({ data }) => void this.#dispatch(dispatchSchema.parse(data)), onError: ended.reject },
    )
    const streams = orchestrator.streams.subscribe(
      { epoch },
      { onData: (order) => this.#order(order), onError: ended.reject },
    )
    this.#up.resolve()
    try {
      await Promise.race([this.#pump(epoch), ended.promise])
    } finally {
      commands.unsubscribe()
      streams.unsubscribe()
    }
  }

  async #pump(epoch: number): Promise<void> {
    const { orchestrator } = this.#client
    while (!this.#isClosed && this.#epoch === epoch) {
      const events = this.#outbox.slice(0, 100)
      if (events.length > 0) {
        await orchestrator.publish.mutate({ epoch, events })
        const taken = events.at(-1)?.seq ?? 0
        this.#outbox = this.#outbox.filter(({ seq }) => seq > taken)
      }
      const frames = this.#frames.splice(0, 8)
      if (frames.length > 0) await orchestrator.send.mutate({ epoch, frames })
      if (events.length + frames.length === 0) await sleep(5)
    }
  }

  async #dispatch(dispatch: Dispatch): Promise<void> {
    if (dispatch.type === 'cancel') return
    const { commandId, command } = dispatch
    const ended = this.#known.get(commandId)
    if (ended !== undefined) return this.publish(ended)
    if (dispatch.type === 'tell') return
    if (this.started.has(commandId)) return
    this.started.set(commandId, 1)
    this.publish({ type: 'command_ack', commandId })
    let event: OrchestratorEvent
    try {
      const output = await (this.#script.run ?? ((asked) => this.#answer(asked)))(dispatch, (told) =>
        this.publish(told),
      )
      event = { type: 'command_result', commandId, command, output }
    } catch (thrown) {
      const error =
        thrown instanceof AioError ? thrown.toWire() : { code: 'INTERNAL' as const, message: String(thrown) }
      event = { type: 'command_error', commandId, command, state: 'failed', error }
    }
    this.#known.set(commandId, event)
    this.publish(event)
  }

  #answer({ command }: Extract<Dispatch, { type: 'run' }>): unknown {
    if (command === 'create_session') return sessionOf(this.id, 'first')
    if (command === 'create_project') return this.#project
    return []
  }

  #order(order: StreamOrder): void {
    this.orders.push(order)
    this.#script.stream?.(order, (...frames) => this.#frames.push(...frames))
  }
}

function stateOf(end: OrchestratorEvent | undefined): CommandState {
  if (end === undefined) return 'running'
  return end.type === 'command_error' ? end.state : 'succeeded'
}

/** A session as a scripted orchestrator lists it. */
export function sessionOf(orchestratorId: string, name: string): Session {
  return {
    id: `demo_${name}`,
    projectId: 'demo',
    name,
    orchestratorId,
    agent: 'shell',
    branch: `feature/${name}`,
    base: { ref: 'main', commit: '0'.repeat(40) },
    state: 'running',
    isolation: 'full',
    createdAt: AT,
    updatedAt: AT,
  }
}
