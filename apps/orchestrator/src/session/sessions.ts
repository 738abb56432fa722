import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import {
  AioError,
  type Archive,
  type CommandInput,
  type CommandOutput,
  containerIdOf,
  type ExportFormat,
  type LimitsRequest,
  type OrchestratorEvent,
  parseSessionId,
  type Session,
  type SessionPause,
  sessionIdOf,
  sessionOfArchive,
  type Usage,
  type WorkAtRisk,
} from '@ai-orchestration/protocol'
import type { ConversationStart } from '../chat/opening.ts'
import { pipePaths } from '../chat/pipe-files.ts'
import type { Steps } from '../command/steps.ts'
import { RootfsBuilder } from '../rootfs/rootfs-builder.ts'
import { describeChoice } from '../runtime/choose-runtime.ts'
import { adoptSessions } from './adopt.ts'
import { Attentions } from './attentions.ts'
import { agentsBinds } from './binds.ts'
import { ContainerPool } from './container-pool.ts'
import { createSession } from './create.ts'
import { exportSession } from './export.ts'
import { forkSession } from './fork.ts'
import { HomeComing } from './home-coming.ts'
import { type HostProcess, isAlive } from './host-process.ts'
import { SessionLife } from './life.ts'
import { workspaceOf } from './paths.ts'
import { pauseSession, resumeSession } from './pause.ts'
import { type Restart, restartSession } from './restart.ts'
import { restoreSession } from './restore.ts'
import { describeRisk, findWorkAtRisk, isNothing } from './risk.ts'
import { openRuntime, type SessionRuntime } from './runtime.ts'
import { describeRuntime } from './runtime-version.ts'
import { withSecrets } from './secret-files.ts'
import type { SessionServices } from './services.ts'
import { changeLimits } from './session-limits.ts'
import { type OpenStats, StatsStream } from './stats.ts'
import { terminateAll, terminateSession } from './terminate.ts'
import { WarmBases } from './warm-bases.ts'

/** Between two looks for archives that are older than they must be kept, in milliseconds. */
const PRUNE_MS = 6 * 3_600_000

/** The sessions of this machine. */
export class Sessions implements AsyncDisposable {
  /** What new sessions start from. */
  readonly rootfs: RootfsBuilder
  /** How the agents stand, and who looks. */
  readonly attentions: Attentions
  readonly #runtime: SessionRuntime
  readonly #homeComing: HomeComing
  readonly #life: SessionLife
  readonly #warmBases: WarmBases
  readonly #pool: ContainerPool
  readonly #busy = new Set<string>()
  readonly #pruning: NodeJS.Timeout
  /** Projects that are being deleted. */
  readonly #closed = new Set<string>()

  /**
   * Prepares this machine for sessions; {@link adopt} then takes over those that are there.
   *
   * @throws AioError ISOLATION_UNAVAILABLE when something sessions need is missing, with what to do.
   */
  static async open(services: SessionServices): Promise<Sessions> {
    return new Sessions(await openRuntime(services))
  }

  private constructor(runtime: SessionRuntime) {
    this.#runtime = runtime
    this.rootfs = new RootfsBuilder(runtime)
    this.attentions = new Attentions(runtime)
    this.#homeComing = new HomeComing(runtime)
    this.#life = new SessionLife(runtime, this.#homeComing)
    this.#pruning = setInterval(() => this.#pruneArchives(), PRUNE_MS).unref()
    this.#warmBases = new WarmBases(runtime)
    this.#pool = new ContainerPool(runtime)
  }

  /** Takes over what an earlier orchestrator left. */
  async adopt(): Promise<void> {
    await adoptSessions(this.#runtime, this.#life)
    this.#pruneArchives()
    await this.prune()
  }

  /** What an admin should know about what runs sessions here, each with what to do. */
  get warnings(): string[] {
    const { choice, runcVersion } = this.#runtime
    return choice.name === 'runc' ? describeRuntime(runcVersion) : describeChoice(choice)
  }

  /** All sessions, or those of one project, by id. */
  list(projectId?: string): Session[] {
    const sessions = this.#runtime.store.list().map(({ session }) => session)
    return projectId === undefined ? sessions : sessions.filter((session) => session.projectId === projectId)
  }

  /** One session, if it exists. */
  get(id: string): Session | undefined {
    return this.#runtime.store.get(id)?.session
  }

  /** One session. @throws AioError NOT_FOUND. */
  require(id: string): Session {
    return this.#runtime.store.require(id).session
  }

  /**
   * Makes a session and answers once its process runs. One that has ended by then is answered as `failed`.
   *
   * @throws AioError CONFLICT when the name is taken; the others of {@link createSession}.
   */
  async create(input: CommandInput<'create_session'>, steps: Steps): Promise<Session> {
    const id = sessionIdOf(input.projectId, input.name)
    return await this.#make(id, async () => await createSession(this.#runtime, input, steps, this.#pool))
  }

  /**
   * Makes a session that begins where another one stands; answers as {@link create} does.
   *
   * @throws AioError CONFLICT when the name is taken; the others of {@link forkSession}.
   */
  async fork(input: CommandInput<'fork_session'>, steps: Steps): Promise<Session> {
    const { projectId } = this.require(input.sessionId)
    const id = sessionIdOf(projectId, input.name)
    return await this.#make(id, async () => await forkSession(this.#runtime, this.#homeComing, input, steps))
  }

  /** What was kept of removed sessions, newest first. */
  async archives(projectId?: string): Promise<Archive[]> {
    return await this.#runtime.archives.list(this.#runtime.log, projectId)
  }

  /**
   * Makes a session of an archive, which stays; answers as {@link create} does.
   *
   * @throws AioError CONFLICT when the name is taken; the others of {@link restoreSession}.
   */
  async restore(input: CommandInput<'restore_session'>, steps: Steps): Promise<Session> {
    const archived = parseSessionId(sessionOfArchive(input.archiveId))
    if (archived === undefined) throw new AioError('INVALID_INPUT', 'An archive is named by its session and a time.')
    const id = sessionIdOf(archived.projectId, input.name ?? archived.name)
    return await this.#make(id, async () => await restoreSession(this.#runtime, input, steps))
  }

  /** Writes what a session holds to `onOutput`, whether it runs or not. @throws AioError NOT_FOUND, EXEC_ERROR. */
  async export(id: string, format: ExportFormat, onOutput: (stdout: Readable) => Promise<void>): Promise<void> {
    this.require(id)
    await exportSession(this.#runtime, id, format, onOutput)
  }

  /**
   * Ends and removes a session; its branch stays.
   *
   * @throws AioError NOT_FOUND; WORK_AT_RISK without `force`; EXEC_ERROR when its work could not be archived.
   */
  async terminate(id: string, options: { force: boolean }, steps: Steps): Promise<CommandOutput<'terminate_session'>> {
    return await this.#alone(id, async () => {
      this.require(id)
      this.#life.unwatch(id)
      try {
        return await terminateSession(this.#runtime, this.#homeComing, id, options, steps)
      } finally {
        if (isAlive(this.#runtime.store.get(id)?.process)) this.#life.watch(id)
        await this.prune()
      }
    })
  }

  /** Removes root filesystems and versions of agents that no container uses any more. Never fails. */
  async prune(): Promise<void> {
    await this.rootfs.prune()
    const { store, agents, log, projects } = this.#runtime
    // The same occasions change what containers wait with.
    for (const { id } of projects.list()) if (!this.#closed.has(id)) void this.#pool.keep(id)
    const records = store.list()
    // One that is about to start may have been given any of them; the next occasion is soon enough.
    if (records.some(({ session }) => session.state === 'starting')) return
    if (this.#pool.isStarting) return
    const pids = records.flatMap(({ process }) => (process === undefined ? [] : [process.pid]))
    await agents
      .prune([...pids, ...this.#pool.pids()])
      .catch((error: unknown) => log.warn({ err: error }, 'old versions of agents could not be removed'))
  }

  /**
   * Runs a program that was just downloaded in a container of its own, with the agents of this machine beside it.
   *
   * @param argv the program, relative to `directory`, and its arguments.
   */
  async tryAgent(directory: string, [program = '', ...args]: readonly string[]) {
    const inside = '/project/agent'
    const { exitCode, stdout, stderr } = await this.#runtime.helpers.text({
      argv: ['/bin/sh', '-c', 'exec 2>&1; HOME=/tmp exec "$@"', 'trial', posix.join(inside, program), ...args],
      cwd: '/tmp',
      binds: [
        ...(await agentsBinds(this.#runtime.agents)),
        { source: directory, destination: inside, isWritable: false },
      ],
      maxBytes: 1024 * 1024,
    })
    return { exitCode, said: `${stdout.toString('utf8')}${stderr}` }
  }

  /** Makes ready in the background what the next session of a project starts from. Never fails. */
  async warm(projectId: string): Promise<void> {
    if (!this.#closed.has(projectId)) await this.#warmBases.warm(projectId)
    if (!this.#closed.has(projectId)) await this.#pool.keep(projectId)
  }

  /**
   * Removes all sessions of a project, each archived before the first is removed; nothing can be made in it until
   * `then` has come to its end.
   *
   * @throws AioError WORK_AT_RISK without `force` when there is any, with what each would lose; CONFLICT when one is just
   * being made or removed; EXEC_ERROR when one could not be archived.
   */
  async clear<T>(
    projectId: string,
    { force }: { force: boolean },
    steps: Steps,
    then: (archives: Archive[]) => Promise<T>,
  ): Promise<T> {
    const ids = this.list(projectId).map(({ id }) => id)
    if (ids.length > 0 && !force) throw await this.#refusal(projectId, ids)
    const busy = [...this.#busy].find((id) => parseSessionId(id)?.projectId === projectId)
    if (busy !== undefined || this.#closed.has(projectId))
      throw new AioError('CONFLICT', `${busy ?? projectId} is being made or removed. Try again in a moment.`)
    this.#closed.add(projectId)
    const resume = ids.map((id) => this.#life.pause(id))
    try {
      await this.#warmBases.stop(projectId)
      await this.#pool.drop(projectId)
      for (const id of ids) this.#life.unwatch(id)
      const archives = await terminateAll(this.#runtime, this.#homeComing, ids, steps)
      return await then(archives)
    } finally {
      this.#closed.delete(projectId)
      for (const goOn of resume) goOn()
      for (const id of ids) if (isAlive(this.#runtime.store.get(id)?.process)) this.#life.watch(id)
    }
  }

  async #refusal(projectId: string, ids: readonly string[]): Promise<AioError> {
    const sessions: { id: string; state: string; atRisk: WorkAtRisk }[] = []
    for (const id of ids) sessions.push({ id, state: this.require(id).state, atRisk: await this.workAtRisk(id) })
    const said = sessions
      .slice(0, 10)
      .map(({ id, state, atRisk }) => `${id} (${state}): ${isNothing(atRisk) ? 'nothing' : describeRisk(atRisk)}`)
    const more = ids.length > said.length ? `; and ${ids.length - said.length} more` : ''
    return new AioError(
      'WORK_AT_RISK',
      `Project ${projectId} has ${ids.length === 1 ? 'a session' : `${ids.length} sessions`}. With it would be lost, of ${said.join('; of ')}${more}. Terminate them first, or delete it anyway with --force: each is archived first.`,
      { details: { sessions } },
    )
  }

  /** Freezes a session's processes. @throws AioError NOT_FOUND; NOT_RUNNING; EXEC_ERROR when they do not stand still. */
  async pause(id: string, reason: SessionPause['reason'] = 'asked'): Promise<Session> {
    return await this.#alone(id, async () => {
      this.#requireAlive(id)
      if (this.require(id).state !== 'paused') await pauseSession(this.#runtime, id, reason)
      return this.require(id)
    })
  }

  /** Lets a paused session go on. @throws AioError NOT_FOUND; NOT_RUNNING when its process has ended. */
  async resume(id: string): Promise<Session> {
    return await this.#alone(id, async () => {
      this.#requireAlive(id)
      if (this.require(id).pause?.reason === 'disk') this.#life.limits.grantDiskGrace(id)
      if (this.require(id).state === 'paused') await resumeSession(this.#runtime, id)
      return this.require(id)
    })
  }

  /**
   * Starts a session's agent anew, also when it has ended; workspace and home stay.
   *
   * @throws AioError NOT_FOUND; AGENT_NOT_READY before anything is stopped; the others of {@link restartSession}.
   */
  async restart(id: string, asked: Restart, steps: Steps): Promise<Session> {
    return await this.#alone(id, async () => {
      this.require(id)
      this.#life.unwatch(id)
      this.#life.limits.forget(id)
      const process = await restartSession(this.#runtime, id, asked, steps)
      if (isAlive(process)) this.#life.watch(id)
      else await this.#life.end(id)
      return this.require(id)
    })
  }

  /** Changes what a session may use, at once. @throws AioError NOT_FOUND; LIMIT when it uses more memory than that. */
  async setLimits(id: string, limits: LimitsRequest): Promise<Session> {
    return await this.#alone(id, async () => {
      await changeLimits(this.#runtime, id, limits)
      const { pause, limits: now } = this.require(id)
      const used = (this.#life.limits.diskBytes(id) ?? 0) / 1024 ** 2
      if (pause?.reason === 'disk' && now !== undefined && used <= now.diskMb) await resumeSession(this.#runtime, id)
      return this.require(id)
    })
  }

  /** Measures a session for one watcher for as long as that is open. */
  openStats(options: OpenStats): StatsStream {
    const { cgroups, cgroupOf, now } = this.#runtime
    const diskBytes = (id: string) => this.#life.limits.diskBytes(id)
    return new StatsStream({ require: (id) => this.require(id), cgroups, cgroupOf, diskBytes, now }, options)
  }

  /** What removing a session would lose. */
  async workAtRisk(id: string): Promise<WorkAtRisk> {
    this.require(id)
    return await findWorkAtRisk(this.#runtime, this.#homeComing, id)
  }

  /** Brings a session's commits, branches and stashes home to `.repo`. @throws AioError when that fails. */
  async bringHome(id: string): Promise<void> {
    this.require(id)
    await this.#homeComing.bring(id)
  }

  /**
   * What runs a program inside a session, as its user and with its environment.
   *
   * @param options `cwd` is absolute, or relative to the workspace.
   * @throws AioError NOT_FOUND; NOT_RUNNING when its process has ended.
   */
  execArgv(id: string, argv: readonly string[], options: { cwd?: string } = {}): { file: string; args: string[] } {
    const { state } = this.require(id)
    this.#requireAlive(id)
    if (state !== 'running')
      throw new AioError(
        'NOT_RUNNING',
        `The session ${id} is ${state}, so nothing can be run in it. Let it go on: aio sessions resume ${id}`,
      )
    const cwd = posix.resolve(workspaceOf(id), options.cwd ?? '.')
    const given = this.#runtime.secretFiles.has(id) ? withSecrets(argv) : argv
    const [file = 'runc', ...args] = this.#runtime.containers.execArgv(containerIdOf(id), given, cwd)
    return { file, args }
  }

  /** Where the requests of a session's door are written down. @throws AioError NOT_FOUND. */
  egressLogOf(id: string): string {
    this.require(id)
    return this.#runtime.paths(id).egressLog
  }

  /** Records what a session has used; does nothing when it has been removed meanwhile. */
  async recordUsage(id: string, usage: Usage): Promise<void> {
    await this.#runtime.store.change(id, { session: { usage } })
  }

  /** Where a session's terminal is found. @throws AioError NOT_FOUND. */
  terminalOf(id: string): { tmuxName: string; logFile: string } {
    this.require(id)
    return { tmuxName: containerIdOf(id), logFile: this.#runtime.paths(id).terminalLog }
  }

  /** Where a session's conversation is kept, and how its agent was started when it runs. @throws AioError NOT_FOUND. */
  chatOf(id: string): { store: string; start: ConversationStart | undefined } {
    const { session, process, chat, bootId } = this.#runtime.store.require(id)
    const { store, input, output } = pipePaths(this.#runtime.paths(id).bundle)
    if (session.state !== 'running' || process === undefined || chat === undefined) return { store, start: undefined }
    const run = `${bootId} ${process.pid} ${process.startTime}`
    return { store, start: { run, files: { input, output }, cwd: workspaceOf(id), ...chat } }
  }

  /** Calls back for every session that is made, changed or removed. @returns the way to stop it. */
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    return this.#runtime.store.onChange(listener)
  }

  /** Stops watching; the sessions live on. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#pruning)
    await this.#life[Symbol.asyncDispose]()
    await this.#warmBases[Symbol.asyncDispose]()
    await this.#pool[Symbol.asyncDispose]()
  }

  #pruneArchives(): void {
    const { archives, log } = this.#runtime
    archives.prune(log).catch((error: unknown) => log.error({ err: error }, 'old archives could not be removed'))
  }

  async #make(id: string, action: () => Promise<HostProcess | undefined>): Promise<Session> {
    return await this.#alone(id, async () => {
      const process = await action()
      if (process === undefined) return this.require(id)
      if (isAlive(process)) this.#life.watch(id)
      else await this.#life.end(id)
      return this.require(id)
    })
  }

  #requireAlive(id: string): void {
    const { state } = this.require(id)
    if (isAlive(this.#runtime.store.require(id).process) && state !== 'starting') return
    throw new AioError(
      'NOT_RUNNING',
      `The session ${id} is ${state}, so nothing runs in it. Start it anew: aio sessions restart ${id}`,
    )
  }

  /** One creation or removal at a time for a session; the watch over its life leaves it alone meanwhile. */
  async #alone<T>(id: string, action: () => Promise<T>): Promise<T> {
    const projectId = parseSessionId(id)?.projectId ?? ''
    if (this.#closed.has(projectId)) throw new AioError('CONFLICT', `The project ${projectId} is being deleted.`)
    if (this.#busy.has(id))
      throw new AioError('CONFLICT', `The session ${id} is being made, changed or removed. Try again in a moment.`)
    this.#busy.add(id)
    const resume = this.#life.pause(id)
    try {
      return await action()
    } finally {
      this.#busy.delete(id)
      resume()
    }
  }
}
