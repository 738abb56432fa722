import type { Permissions, SessionInterface, Usage } from '@ai-orchestration/protocol'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import type { ProjectPaths, ProjectRecord } from '../project/projects.ts'
import type { Bootstrap } from '../rootfs/bootstrap.ts'
import type { NewTerminal, TerminalState } from '../terminal/tmux.ts'
import type { Cgroups } from './cgroups.ts'
import type { MachineFacts } from './preflight.ts'

/** What sessions need to know of projects. */
export interface ProjectSource {
  list(): readonly { id: string }[]
  require(id: string): ProjectRecord
  paths(id: string): ProjectPaths
  /** What a session's processes are given besides its plain variables. */
  secretValues(id: string): Promise<ReadonlyMap<string, string>>
}

/** What sessions need of the terminals' server. */
export interface TerminalServer {
  newSession(terminal: NewTerminal): Promise<void>
  list(): Promise<TerminalState[]>
  kill(name: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  capture(name: string, lines?: number): Promise<string>
  onDeath(listener: () => void): () => void
}

/** How an agent is started. */
export interface Launch {
  argv: readonly string[]
  env: Readonly<Record<string, string>>
  /** Which gateway its network needs; none when absent. */
  gateway?: string | undefined
  /** It talks over a pipe instead of its terminal; see `chat/`. */
  chat?: { mode?: { initial: string; asking: string }; conversation?: string } | undefined
}

/** What sessions need of the agents of this machine. */
export interface AgentSource {
  /** Bound read-only at /opt/agents. */
  readonly agentsDir: string
  /** Bound read-only at /opt/agents/bin: the programs as a container that is started now has them. */
  readonly programsDir: string | undefined
  /** Removes what no container can reach any more. @param pids a process of each container that runs. */
  prune(pids: readonly number[]): Promise<void>
  choose(requested?: string, projectDefault?: string): { agent: string; notice?: string | undefined }
  launch(
    agentId: string,
    options: {
      prompt?: string
      workspace: string
      interface: SessionInterface
      permissions: Permissions
      conversation?: string | undefined
    },
  ): Launch
  seedHome(agentId: string, homeDir: string, options: { workspace: string; permissions: Permissions }): Promise<void>
}

/** What is behind the door of a session. */
export interface DoorPlan {
  agent: string
  /** The gateway it leads to; none when absent. */
  gateway?: string | undefined
  /** Where its requests are written down. */
  logFile: string
  /** What the session had used before. */
  usage?: Usage | undefined
}

/** What sessions need of the doors into containers' networks. */
export interface DoorKeeper {
  attach(sessionId: string, pid: number, plan: DoorPlan): Promise<void>
  detach(sessionId: string): Promise<void>
}

/** Everything sessions work with. */
export interface SessionServices {
  config: Pick<OrchestratorConfig, 'aioHome' | 'aioRun' | 'rootfsDir' | 'isolation' | 'archiveDays'> &
    Partial<Pick<OrchestratorConfig, 'requirePatchedRuntime' | 'idlePauseMs' | 'runtime'>>
  log: Logger
  orchestratorId: string
  projects: ProjectSource
  tmux: TerminalServer
  agents: AgentSource
  doors: DoorKeeper
  /** Now; the machine's clock when absent. */
  now?: () => Date
  /** What this machine can isolate with; found out when absent. */
  facts?: MachineFacts
  /** Control groups; those of this machine when absent. */
  cgroups?: Cgroups
  /** Fills a root filesystem; mmdebstrap when absent. */
  bootstrap?: Bootstrap
}
