import {
  type Dispatch,
  dispatchSchema,
  type HostProof,
  LINK_VERSION,
  type OrchestratorEvent,
  type Project,
  type Question,
  type Registration,
  type Session,
  type StreamFrame,
  type StreamOrder,
} from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { ROOT_TOKEN, type TestClient, type TestRelay } from './test-relay.ts'

const AT = '2026-01-01T00:00:00.000Z'
const HEADERS = { 'x-aio-role': 'orchestrator' }

/** Stands for whoever reports it: the relay puts the right one in. */
const ANYONE = '00000000000000000000000000'

/** A project as an orchestrator reports it. */
export function aProject(id: string, orchestratorId: string = ANYONE): Project {
  return { id, name: id, orchestratorId, defaultBranch: 'main', createdAt: AT }
}

/** A session as an orchestrator reports it. */
export function aSession(projectId: string, name: string, orchestratorId: string = ANYONE): Session {
  return {
    id: `${projectId}_${name}`,
    projectId,
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

/** A question of a session as an orchestrator reports it. */
export function aQuestion(
  id: string,
  sessionId: string,
  change: Partial<Pick<Question, 'state' | 'answer'>> = {},
): Question {
  return {
    id,
    sessionId,
    projectId: sessionId.split('_')[0] ?? '',
    orchestratorId: ANYONE,
    createdAt: AT,
    kind: 'egress',
    title: 'May it reach host.example?',
    detail: { host: 'host.example', port: 443, protocol: 'https' },
    options: [
      { id: 'once', label: 'Once', style: 'allow' },
      { id: 'deny', label: 'No', style: 'deny' },
    ],
    state: 'pending',
    ...change,
  }
}

/** A scripted orchestrator that speaks the real link over a stock client: its answers are what the test says. */
export class FakeOrchestrator {
  readonly id: string
  readonly dispatched: Dispatch[] = []
  readonly orders: StreamOrder[] = []
  epoch = 0
  linkKey = ''
  #seq = 0
  readonly #control: TestClient
  #streams: TestClient | undefined
  #onDispatch: (dispatch: Dispatch) => void = () => undefined
  #onOrder: (order: StreamOrder) => void = () => undefined

  private constructor(control: TestClient, id: string) {
    this.#control = control
    this.id = id
  }

  static async connect(
    relay: TestRelay,
    options: Partial<Registration> & {
      id?: string
      name?: string
      token?: string
      withStreams?: boolean
      /** Answers the relay's challenge, as a machine with a key does. */
      prove?: (id: string, challenge: string) => HostProof
    } = {},
  ): Promise<FakeOrchestrator> {
    const { id = ulid(), name = 'fake', token = ROOT_TOKEN, withStreams = false, prove, ...registration } = options
    const fake = new FakeOrchestrator(relay.client(token, { headers: HEADERS }), id)
    const host =
      prove === undefined ? undefined : prove(id, (await fake.#control.call.orchestrator.challenge.query()).challenge)
    const { epoch, linkKey } = await fake.#control.call.orchestrator.register.mutate({
      linkVersion: LINK_VERSION,
      orchestrator: {
        id,
        name,
        version: '0.1.0',
        machine: { cores: 2, memoryBytes: 1, kernel: '6' },
        agents: [{ id: 'shell', name: 'Shell', installed: true, ready: true }],
        isolation: 'full',
        warnings: [],
      },
      commands: [{ name: 'custom', isBuiltIn: false }],
      projects: [],
      sessions: [],
      known: [],
      host,
      ...registration,
    })
    fake.epoch = epoch
    fake.linkKey = linkKey
    await new Promise<void>((resolve, reject) => {
      fake.#control.call.orchestrator.commands.subscribe(
        { epoch },
        {
          onStarted: () => resolve(),
          onData: ({ data }) => {
            const dispatch = dispatchSchema.parse(data)
            fake.dispatched.push(dispatch)
            fake.#onDispatch(dispatch)
          },
          onError: reject,
        },
      )
    })
    if (withStreams) await fake.#openStreams(relay.client(token, { headers: HEADERS }))
    return fake
  }

  /** Says what to do with each dispatch from now on. */
  onDispatch(listener: (dispatch: Dispatch) => void): void {
    this.#onDispatch = listener
  }

  onOrder(listener: (order: StreamOrder) => void): void {
    this.#onOrder = listener
  }

  async publish(...events: OrchestratorEvent[]): Promise<void> {
    const numbered = events.map((event) => {
      this.#seq += 1
      return { seq: this.#seq, event }
    })
    await this.#control.call.orchestrator.publish.mutate({ epoch: this.epoch, events: numbered })
  }

  async publishAt(seq: number, event: OrchestratorEvent, lost?: number): Promise<void> {
    this.#seq = Math.max(this.#seq, seq)
    await this.#control.call.orchestrator.publish.mutate({
      epoch: this.epoch,
      events: [{ seq, event, ...(lost === undefined ? {} : { lost }) }],
    })
  }

  async send(...frames: StreamFrame[]): Promise<void> {
    await this.#streams?.call.orchestrator.send.mutate({ epoch: this.epoch, frames })
  }

  /** Codes its control socket was closed with. */
  get closes(): number[] {
    return this.#control.closes
  }

  async closeStreams(): Promise<void> {
    await this.#streams?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeStreams()
    await this.#control[Symbol.asyncDispose]()
  }

  async #openStreams(client: TestClient): Promise<void> {
    this.#streams = client
    await new Promise<void>((resolve, reject) => {
      client.call.orchestrator.streams.subscribe(
        { epoch: this.epoch, linkKey: this.linkKey },
        {
          onStarted: () => resolve(),
          onData: (order) => {
            this.orders.push(order)
            this.#onOrder(order)
          },
          onError: reject,
        },
      )
    })
  }
}
