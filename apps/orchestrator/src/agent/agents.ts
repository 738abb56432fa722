import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type AgentInfo, AioError, type Permissions, type SessionInterface } from '@ai-orchestration/protocol'
import type { OrchestratorConfig } from '../config.ts'
import { hostPatterns } from '../door/egress-settings.ts'
import { DOOR_URL } from '../door/environment.ts'
import type { GatewayKind } from '../door/gateway.ts'
import { reportCommands } from '../door/report-commands.ts'
import type { HostPattern } from '../door/target.ts'
import type { Logger } from '../log.ts'
import { type AgentDefinition, readAgentFile } from './agent-file.ts'
import { fill, fillJson } from './fill.ts'
import { Installation, type Wanted } from './installation.ts'

const SHIPPED = fileURLToPath(new URL('../../config/agents.toml', import.meta.url))
/** What an agent presents at the door in place of a credential; it opens nothing. */
const PLACEHOLDER_KEY = 'sk-ant-placeholder-of-ai-orchestration-0000'
/** The agent of a session that nobody chose one for, and what stands in while it is not ready. */
const DEFAULT_AGENT = 'claude'
const FALLBACK_AGENT = 'shell'
/** Linux takes no argument longer than 128 KiB (MAX_ARG_STRLEN), its final zero included. */
const ARGUMENT_BYTES_MAX = 128 * 1024 - 1

/** How an agent is started inside its container. */
export interface AgentLaunch {
  argv: string[]
  env: Record<string, string>
  /** The model API its door leads to; none when absent. */
  gateway?: GatewayKind
  /** It speaks the Agent Client Protocol on stdin and stdout, and begins in this permission mode of its own. */
  chat?: { mode?: { initial: string; asking: string }; conversation?: string }
}

/** What a session wants of its agent. */
export interface LaunchOptions {
  prompt?: string
  workspace: string
  interface: SessionInterface
  permissions: Permissions
  /** The agent's own name of the conversation to go on with; a new one when absent. */
  conversation?: string | undefined
}

/** The agents that this machine can run: what they are, whether they are ready, how they are started. */
export class Agents {
  /** Bound read-only at /opt/agents in every container; its `bin` is on the PATH there. */
  readonly agentsDir: string
  readonly #definitions: ReadonlyMap<string, AgentDefinition>
  readonly #gateway: OrchestratorConfig['gateway']
  readonly #installation: Installation
  readonly #log: Logger
  readonly #listeners = new Set<() => void>()
  #lastInstall: Promise<unknown> = Promise.resolve()

  private constructor(
    definitions: ReadonlyMap<string, AgentDefinition>,
    config: Pick<OrchestratorConfig, 'aioHome' | 'gateway'>,
    log: Logger,
  ) {
    this.#definitions = definitions
    this.#gateway = config.gateway
    this.agentsDir = join(config.aioHome, 'agents')
    this.#installation = new Installation(this.agentsDir)
    this.#log = log
  }

  /**
   * Reads the shipped agents and those of `$AIO_HOME/agents.toml`, which come first.
   *
   * @throws AioError INVALID_INPUT that says what is wrong in which file.
   */
  static async open(services: {
    config: Pick<OrchestratorConfig, 'aioHome' | 'gateway'>
    log: Logger
  }): Promise<Agents> {
    const { config, log } = services
    const own = await readAgentFile(join(config.aioHome, 'agents.toml'))
    const agents = new Agents(new Map([...(await readAgentFile(SHIPPED)), ...own]), config, log)
    await agents.#installation.open()
    return agents
  }

  /** Every agent and whether a session can start it now. */
  list(): AgentInfo[] {
    return [...this.#definitions.keys()].map((id) => this.#info(id))
  }

  /**
   * The agent of a new session: the requested one, else the project's, else Claude Code when it is ready, else a shell
   * with a notice that says why.
   *
   * @throws AioError AGENT_NOT_READY with the line to run, when the requested or the project's agent is not ready;
   * INVALID_INPUT when there is no such agent.
   */
  choose(requested?: string, projectDefault?: string): { agent: string; notice?: string } {
    const wanted = requested ?? projectDefault
    if (wanted !== undefined) {
      const { argv, name } = this.#require(wanted)
      if (argv === undefined)
        throw new AioError('INVALID_INPUT', `${name} is no agent but a part of others, so no session can run it.`)
      const { ready, reason } = this.#info(wanted)
      if (!ready) throw new AioError('AGENT_NOT_READY', reason ?? `The agent ${wanted} is not ready.`)
      return { agent: wanted }
    }
    if (!this.#definitions.has(DEFAULT_AGENT)) return { agent: FALLBACK_AGENT }
    const { ready, reason } = this.#info(DEFAULT_AGENT)
    if (ready) return { agent: DEFAULT_AGENT }
    return { agent: FALLBACK_AGENT, notice: `This session runs a shell. ${reason} Then create a new session.` }
  }

  /**
   * How to start an agent.
   *
   * @throws AioError INVALID_INPUT when there is a prompt and the agent takes none, or it is too long for an argument, or
   * a chat is wanted and the agent has none; AGENT_NOT_READY when a part of it is missing.
   */
  launch(agentId: string, options: LaunchOptions): AgentLaunch {
    const agent = this.#require(agentId)
    const values = this.#values(options.workspace, agent, options.permissions)
    const isChat = options.interface === 'chat'
    const argv = (isChat ? this.#chatOf(agent).argv : (agent.argv ?? [])).map((argument) => fill(argument, values))
    const { prompt, conversation } = options
    if (!isChat && conversation !== undefined)
      argv.push(...(agent.resume ?? []).map((argument) => fill(argument, { ...values, conversation })))
    if (!isChat && prompt !== undefined && prompt !== '') argv.push(...promptArguments(agent, prompt, values))
    const variables = { ...agent.env, ...(isChat ? agent.chat?.env : {}) }
    const env = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, fill(value, values)]))
    return {
      ...{ argv, env },
      ...(agent.gateway === undefined ? {} : { gateway: agent.gateway }),
      ...(isChat ? { chat: chatLaunch(agent, options) } : {}),
    }
  }

  /** Hosts that an agent's sessions may reach; none of one that is not known any more. */
  hostsOf(agentId: string): readonly HostPattern[] {
    return hostPatterns(this.#definitions.get(agentId)?.hosts ?? [])
  }

  /** Writes the files that an agent wants to find in a session's new HOME. They belong to this process's user. */
  async seedHome(
    agentId: string,
    homeDir: string,
    options: { workspace: string; permissions: Permissions },
  ): Promise<void> {
    const agent = this.#require(agentId)
    const values = this.#values(options.workspace, agent, options.permissions)
    for (const [path, content] of Object.entries(agent.seed)) {
      const file = join(homeDir, path)
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      // `wx`: HOME is new, so nothing of a container's can be there to be followed or overwritten.
      await writeFile(file, JSON.stringify(fillJson(content, values), null, 2), { mode: 0o600, flag: 'wx' })
    }
  }

  /**
   * Installs an agent with the parts it needs, or another version of it, for containers that are started from now on; one
   * installation runs at a time.
   *
   * @param version the pinned one when absent.
   * @throws AioError INVALID_INPUT when there is nothing to install; EXEC_ERROR, AGENT_NOT_READY as it fails.
   */
  async install(
    agentId: string,
    version: string | undefined,
    options: Pick<Wanted, 'progress' | 'signal' | 'trial'>,
  ): Promise<AgentInfo> {
    const { package: source, name, chat } = this.#require(agentId)
    if (source === undefined)
      throw new AioError('INVALID_INPUT', `${name} comes with the system; there is nothing to install.`)
    const before = this.#lastInstall
    const installing = before.then(async () => {
      for (const id of this.#partsOf(source.requires)) await this.#install(id, undefined, options)
      await this.#install(agentId, version, options)
      // Without them there still is its terminal.
      for (const id of this.#partsOf(chat?.requires)) await this.#install(id, undefined, options)
    })
    this.#lastInstall = installing.catch(() => undefined)
    await installing
    for (const listener of this.#listeners) listener()
    return this.#info(agentId)
  }

  /** The programs that containers are given at /opt/agents/bin. */
  get programsDir(): string | undefined {
    return this.#installation.programs
  }

  /** Removes versions that no container can reach any more. @param pids a process of each container that runs. */
  async prune(pids: readonly number[]): Promise<void> {
    const before = this.#lastInstall
    const pruning = before.then(async () => await this.#installation.prune(pids))
    this.#lastInstall = pruning.catch(() => undefined)
    await pruning
  }

  async #install(
    agentId: string,
    version: string | undefined,
    options: Pick<Wanted, 'progress' | 'signal' | 'trial'>,
  ): Promise<void> {
    const { package: source, lockFile: lock } = this.#require(agentId)
    if (source === undefined) return
    const wanted = { ...options, agentId, source, lock, version: version ?? source.version }
    const installed = await this.#installation.install(wanted)
    this.#log.info({ agent: agentId, version: installed }, 'agent installed')
  }

  /** Calls back after the list has changed. Answers how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Makes sure that there is such an agent, installed or not. @throws AioError INVALID_INPUT */
  require(agentId: string): void {
    this.#require(agentId)
  }

  /** What is missing of the parts with these ids and all they need themselves, in the order to install them in. */
  #partsOf(ids: readonly string[] = []): Set<string> {
    const missing = new Set<string>()
    for (const id of ids) {
      for (const part of this.#partsOf(this.#require(id).package?.requires)) missing.add(part)
      if (!this.#info(id).installed) missing.add(id)
    }
    return missing
  }

  #info(id: string): AgentInfo {
    const agent = this.#require(id)
    const version = agent.package && this.#installation.version(id, agent.package)
    const installed = agent.package === undefined || version !== undefined
    const missing = agent.package?.requires.find((part) => !this.#info(part).installed)
    const reason = this.#reason(id, agent, installed && missing === undefined)
    return {
      ...{ id, name: agent.name, installed, ready: reason === undefined },
      ...(agent.argv === undefined ? { isPart: true } : {}),
      ...(this.#hasChat(agent) ? { hasChat: true } : {}),
      ...(agent.package === undefined ? {} : { pinnedVersion: agent.package.version }),
      ...(version === undefined ? {} : { version }),
      ...(reason === undefined ? {} : { reason }),
    }
  }

  /** A chat that lacks a part would be refused when it is asked for, so it is not offered. */
  #hasChat({ chat }: AgentDefinition): boolean {
    return chat?.requires.every((id) => this.#definitions.has(id) && this.#info(id).ready) ?? false
  }

  #reason(id: string, agent: AgentDefinition, installed: boolean): string | undefined {
    if (!installed) return `${agent.name} is not installed on this machine. Run \`aio agents install ${id}\`.`
    const { apiKey, oauthToken } = this.#gateway
    if (agent.gateway === undefined || apiKey !== undefined || oauthToken !== undefined) return undefined
    return `${agent.name} has no credential. Set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN for the orchestrator and restart it.`
  }

  #require(id: string): AgentDefinition {
    const agent = this.#definitions.get(id)
    if (agent !== undefined) return agent
    const known = [...this.#definitions.keys()].join(', ')
    throw new AioError('INVALID_INPUT', `There is no agent named ${JSON.stringify(id)}. This machine knows: ${known}.`)
  }

  #values(workspace: string, agent: AgentDefinition, permissions: Permissions): Record<string, string> {
    const { permissionMode } = agent
    return {
      ...{ workspace, door: DOOR_URL, key: PLACEHOLDER_KEY, keyEnd: PLACEHOLDER_KEY.slice(-20) },
      ...reportCommands(),
      ...(permissionMode === undefined ? {} : { permissionMode: permissionMode[permissions] }),
    }
  }

  #chatOf(agent: AgentDefinition): NonNullable<AgentDefinition['chat']> {
    const { chat, name } = agent
    if (chat === undefined)
      throw new AioError('INVALID_INPUT', `${name} has no chat. Leave \`--chat\` out to use its terminal.`)
    for (const id of chat.requires) {
      const { ready, reason } = this.#info(id)
      if (!ready) throw new AioError('AGENT_NOT_READY', `The chat with ${name} needs another part. ${reason ?? ''}`)
    }
    return chat
  }
}

/** A person who made it ask keeps that; its own default may be to ask nothing. */
function chatLaunch(
  { chat }: AgentDefinition,
  { permissions, conversation }: LaunchOptions,
): NonNullable<AgentLaunch['chat']> {
  return {
    ...(conversation === undefined ? {} : { conversation }),
    ...(chat?.mode === undefined ? {} : { mode: { initial: chat.mode[permissions], asking: chat.mode.ask } }),
  }
}

function promptArguments(agent: AgentDefinition, prompt: string, values: Record<string, string>): string[] {
  if (agent.prompt === undefined)
    throw new AioError(
      'INVALID_INPUT',
      `${agent.name} takes no prompt. Leave the prompt out, or name an agent such as \`--agent ${DEFAULT_AGENT}\`.`,
    )
  if (Buffer.byteLength(prompt) > ARGUMENT_BYTES_MAX)
    throw new AioError(
      'INVALID_INPUT',
      `The prompt has ${Buffer.byteLength(prompt)} bytes; at most ${ARGUMENT_BYTES_MAX} can be handed over. Put it into a file of the repository and refer to that.`,
    )
  return agent.prompt.map((argument) => fill(argument, { ...values, prompt }))
}
