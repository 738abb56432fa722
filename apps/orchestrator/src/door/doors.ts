import type { Server } from 'node:http'
import type { Server as NetServer } from 'node:net'
import { type OrchestratorEvent, parseSessionId, type Usage } from '@ai-orchestration/protocol'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import type { ProjectRecord } from '../project/projects.ts'
import type { Questions } from '../question/questions.ts'
import type { Rules } from '../question/rules.ts'
import { Addresses } from './addresses.ts'
import { Dialer, type Resolve } from './dialer.ts'
import { createDoorServer } from './door-server.ts'
import { EgressLog } from './egress-log.ts'
import { EgressPolicy, type EgressSettings } from './egress-policy.ts'
import { EgressProxy } from './egress-proxy.ts'
import { egressSettingsSchema, hostPatterns } from './egress-settings.ts'
import { Gateway, type GatewayHooks, type GatewayKind } from './gateway.ts'
import { listenInside } from './listen-inside.ts'
import { PackageHosts } from './package-hosts.ts'
import { type AgentReport, Reports } from './reports.ts'
import type { HostPattern } from './target.ts'
import type { UsageBook } from './usage-book.ts'

/** What doors work with. */
export interface DoorServices {
  config: Pick<OrchestratorConfig, 'gateway' | 'egressAllowAddresses'> & { relayUrl: string }
  log: Logger
  projects: { get(id: string): ProjectRecord | undefined }
  agents: { hostsOf(agentId: string): readonly HostPattern[] }
  questions: Questions
  rules: Rules
  usage: UsageBook
  /** Whether a session may call the model once more. */
  admit(sessionId: string, signal: AbortSignal): ReturnType<GatewayHooks['admit']>
  /** Told what the agent of a session says of itself. */
  onReport?: (sessionId: string, report: AgentReport) => void
  /** Turns names into addresses; the system's resolver when absent. */
  resolve?: Resolve
}

/** What is behind the door of one session. */
export interface DoorPlan {
  agent: string
  /** The model API it leads to; none when absent. */
  gateway?: GatewayKind | undefined
  /** Where its requests are written down; no session can write there. */
  logFile: string
  /** What the session had used before. */
  usage?: Usage | undefined
}

interface Door {
  listener: NetServer
  server: Server
  /** Ends everything behind it. */
  close(): Promise<void>
}

/**
 * The one way out of each session, which has no network: a socket that listens on the session's own loopback and is served
 * by the orchestrator from outside. It is gone with the orchestrator and attached anew after a restart.
 */
export class Doors {
  readonly #services: DoorServices
  readonly #addresses: Addresses
  readonly #dialer: Dialer
  readonly #packageHosts: PackageHosts
  readonly #doors = new Map<string, Door>()
  readonly #listeners = new Set<(event: OrchestratorEvent) => void>()

  constructor(services: DoorServices) {
    const { config, log, resolve } = services
    this.#services = services
    this.#packageHosts = new PackageHosts({ log })
    this.#addresses = new Addresses(config.egressAllowAddresses)
    this.#dialer = new Dialer({
      addresses: this.#addresses,
      ownHosts: [new URL(config.relayUrl).hostname],
      ...(resolve === undefined ? {} : { resolve }),
    })
  }

  /**
   * Opens the door of a session; one that was open is closed first.
   *
   * @param pid any process in the session's network namespace.
   * @throws AioError ISOLATION_UNAVAILABLE when that namespace is the machine's own, is gone, or the port is taken.
   */
  async attach(sessionId: string, pid: number, plan: DoorPlan): Promise<void> {
    await this.detach(sessionId)
    const listener = await listenInside(pid)
    const log = this.#services.log.child({ sessionId })
    listener.on('error', (error) => log.warn({ err: error }, 'the door of a session failed'))
    const door = this.#make(sessionId, listener, plan, log)
    listener.on('connection', (socket) => {
      // Only a server that listens itself does so; small pieces of an answer would each wait 40 ms for an ACK.
      socket.setNoDelay(true)
      door.server.emit('connection', socket)
    })
    await this.detach(sessionId)
    this.#doors.set(sessionId, door)
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
    door.server.closeAllConnections()
    await door.close()
  }

  /** Calls back with what went through the doors, summed up. @returns the way to stop it. */
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Closes all doors. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#doors.keys()].map((sessionId) => this.detach(sessionId)))
  }

  #make(sessionId: string, listener: NetServer, plan: DoorPlan, log: Logger): Door {
    const { config, questions, rules, usage, admit, onReport } = this.#services
    usage.resume(sessionId, plan.usage)
    const publish = (event: OrchestratorEvent) => {
      for (const listener of this.#listeners) listener(event)
    }
    const egressLog = new EgressLog({ path: plan.logFile, sessionId, publish, log })
    const settings = () => this.#settings(sessionId, plan.agent)
    const policy = new EgressPolicy({ sessionId, settings, questions, rules, addresses: this.#addresses })
    const egress = new EgressProxy({ policy, dialer: this.#dialer, egressLog, log })
    const hooks: GatewayHooks = {
      admit: (signal) => admit(sessionId, signal),
      onUsage: (turn) => usage.add(sessionId, turn),
    }
    const gateway =
      plan.gateway === undefined ? undefined : new Gateway(plan.gateway, { config: config.gateway, hooks, log })
    const reports = new Reports((report) => onReport?.(sessionId, report))
    const close = async () => {
      gateway?.close()
      egress.close()
      policy.close()
      usage.flush(sessionId)
      await egressLog.close()
    }
    return { listener, server: createDoorServer({ reports, gateway, egress }), close }
  }

  async #settings(sessionId: string, agent: string): Promise<EgressSettings> {
    const project = this.#services.projects.get(parseSessionId(sessionId)?.projectId ?? '')
    const agentHosts = this.#services.agents.hostsOf(agent)
    const { allow, presets, unknown, holdMinutes } = project?.egress ?? egressSettingsSchema.parse({})
    const sets = await Promise.all(presets.map((preset) => this.#packageHosts.of(preset, project ?? {})))
    return {
      allow: [...agentHosts, ...hostPatterns(allow), ...sets.flat()],
      unknown,
      holdMs: holdMinutes * 60_000,
    }
  }
}
