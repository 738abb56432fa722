import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CommandInput, containerIdOf, type OrchestratorEvent, type Session } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { StepList, type StepReport } from '../command/steps.ts'
import { cleanEnv, run } from '../process/run.ts'
import { Projects } from '../project/projects.ts'
import { ProjectSecrets } from '../project/secrets.ts'
import { type Bootstrap, bootstrapDebian } from '../rootfs/bootstrap.ts'
import type { RuntimeName } from '../runtime/container-runtime.ts'
import { Tmux } from '../terminal/tmux.ts'
import { mountPoints, unmount } from './mounts.ts'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { Runc } from './runc.ts'
import type { AgentSource, DoorKeeper, Launch } from './services.ts'
import { Sessions } from './sessions.ts'

/** Only for tests: an orchestrator's session rooms in a directory of their own, with the real runc, tmux and git. */
export class TestMachine implements AsyncDisposable {
  readonly dir: string
  readonly projects: Projects
  readonly runc: Runc
  readonly events: OrchestratorEvent[] = []
  readonly attached = new Map<string, number>()
  launch: Launch = { argv: ['/bin/bash', '--norc', '--noprofile'], env: {} }
  readonly tmux: Tmux
  /** How freely agents were started, in order. */
  readonly permissions: string[] = []
  failAttach = false
  /** What runs containers; the best that works when absent. */
  runtime: RuntimeName | undefined
  bootstrap: Bootstrap | undefined
  /** What could not be undone. */
  readonly problems: string[] = []
  #sessions: Sessions | undefined

  private constructor(dir: string, projects: Projects, tmux: Tmux) {
    this.dir = dir
    this.projects = projects
    this.tmux = tmux
    this.runc = new Runc(this.run)
  }

  /** The rooms as the latest orchestrator opened them. */
  get sessions(): Sessions {
    if (this.#sessions === undefined) throw new Error('The machine has not been started.')
    return this.#sessions
  }

  get run(): string {
    return join(this.dir, 'run')
  }

  get home(): string {
    return join(this.dir, 'home')
  }

  /** @param existing the directory of a machine whose orchestrator has died; @param runtime another one than runc. */
  static async start(existing?: string, runtime?: RuntimeName): Promise<TestMachine> {
    const dir = existing ?? (await mkdtemp('/tmp/aio-s-'))
    await chmod(dir, 0o755)
    await mkdir(join(dir, 'run'), { recursive: true, mode: 0o711 })
    const log = quiet
    const projects = await Projects.open({
      projectsDir: join(dir, 'projects'),
      archivesDir: join(dir, 'home/archives'),
      orchestratorId: ORCHESTRATOR_ID,
      log,
      secrets: new ProjectSecrets({ aioHome: join(dir, 'home'), variable: () => undefined }),
    })
    const tmux = await Tmux.open({ aioRun: join(dir, 'run'), log })
    const machine = new TestMachine(dir, projects, tmux)
    machine.runtime = runtime
    await machine.openSessions(runtime === undefined ? 'full' : 'degraded')
    return machine
  }

  /** Opens the rooms as a new orchestrator would, over what is there. */
  async openSessions(isolation: 'full' | 'degraded' = 'full', idlePauseMs = 0): Promise<Sessions> {
    const sessions = await Sessions.open({
      config: {
        ...{ aioHome: this.home, aioRun: this.run, rootfsDir: join(this.dir, 'rootfs') },
        ...{ isolation, idlePauseMs, archiveDays: 90, runtime: this.runtime },
      },
      log: quiet,
      orchestratorId: ORCHESTRATOR_ID,
      projects: this.projects,
      tmux: this.tmux,
      agents: this.#agents(),
      doors: this.#doors(),
      bootstrap: async (...args) => await (this.bootstrap ?? bootstrapDebian)(...args),
    })
    sessions.onChange((event) => this.events.push(event))
    this.#sessions = sessions
    return sessions
  }

  /** What a new orchestrator does after the old one has ended: the sessions are as they were. */
  async reopen(isolation: 'full' | 'degraded' = 'full', idlePauseMs = 0): Promise<void> {
    await this.sessions[Symbol.asyncDispose]()
    await this.openSessions(isolation, idlePauseMs)
    await this.sessions.adopt()
  }

  /** Makes a project from a repository with these files. */
  async project(
    name: string,
    files: Record<string, string> = { 'a.txt': 'one\n', '.gitignore': 'node_modules\n*.log\n' },
  ) {
    const source = join(this.dir, `source-${name}`)
    await mkdir(source, { recursive: true })
    const env = cleanEnv({
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: 't',
      GIT_AUTHOR_EMAIL: 't@t',
      GIT_COMMITTER_NAME: 't',
      GIT_COMMITTER_EMAIL: 't@t',
    })
    await run('git', ['init', '-q', '-b', 'main', source], { env })
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(source, path, '..'), { recursive: true })
      await writeFile(join(source, path), content)
    }
    await run('git', ['-C', source, 'add', '-A'], { env })
    await run('git', ['-C', source, 'commit', '-q', '-m', 'first'], { env })
    await run('git', ['-C', source, 'tag', 'v1'], { env })
    return await this.projects.create(
      { name, repoUrl: source },
      { isAdmin: true },
      new StepList(new AbortController().signal, () => undefined),
    )
  }

  /** Creates a session as a command would: undoes its steps when it fails. */
  async create(
    input: CommandInput<'create_session'>,
    report: (report: StepReport) => void = () => undefined,
  ): Promise<Session> {
    const steps = new StepList(new AbortController().signal, report)
    try {
      return await this.sessions.create(input, steps)
    } catch (error) {
      this.problems.push(...(await steps.undo()))
      throw error
    }
  }

  /** Does something with steps that are undone when it fails, as a command would. */
  async command<T>(action: (steps: StepList) => Promise<T>): Promise<T> {
    const steps = new StepList(new AbortController().signal, () => undefined)
    try {
      return await action(steps)
    } catch (error) {
      this.problems.push(...(await steps.undo()))
      throw error
    }
  }

  async terminate(id: string, force = false) {
    return await this.sessions.terminate(id, { force }, new StepList(new AbortController().signal, () => undefined))
  }

  /** Runs a shell script inside a session. */
  async inside(id: string, script: string): Promise<{ exitCode: number | null; out: string }> {
    const { file, args } = this.sessions.execArgv(id, ['sh', '-c', script])
    const { exitCode, stdout, stderr } = await run(file, args, { allowFailure: true })
    return { exitCode, out: (stdout + stderr).trim() }
  }

  async git(project: string, ...args: string[]): Promise<string> {
    const { stdout } = await run(
      'git',
      // Whoever runs the tests may have no identity of their own.
      ['-C', this.projects.paths(project).repo, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args],
      { allowFailure: true },
    )
    return stdout.trim()
  }

  /** PID 1 of a session's container as this machine sees it. */
  async pidOf(id: string): Promise<number | undefined> {
    return (await this.runc.list()).find((container) => container.id === containerIdOf(id))?.pid
  }

  /** Makes a container's processes stand still behind everyone's back, or go on. */
  setFrozen(container: string, isFrozen: boolean): void {
    openCgroups().setFrozen(`/aio-${shortHash(this.run)}-${container}`, isFrozen)
  }

  /** What of a session is left anywhere on this machine. */
  async leftovers(id: string): Promise<string[]> {
    const name = containerIdOf(id)
    const [containers, terminals] = await Promise.all([this.runc.list(), this.tmux.list()])
    // Helpers come and go meanwhile, which find complains of.
    const groups = await run(
      'find',
      ['/sys/fs/cgroup', '-maxdepth', '3', '-name', `aio-${shortHash(this.run)}-${name}`],
      { allowFailure: true },
    )
    return [
      ...containers.filter((container) => container.id === name).map(() => 'container'),
      ...terminals.filter((terminal) => terminal.name === name).map(() => 'terminal'),
      ...mountPoints().filter((path) => path.startsWith(this.dir) && path.endsWith(id)),
      ...groups.stdout.split('\n').filter((path) => path !== ''),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions[Symbol.asyncDispose]()
    for (const { id } of await this.runc.list()) await this.runc.delete(id)
    await this.tmux[Symbol.asyncDispose]()
    await run('tmux', ['-S', join(this.run, 'tmux.sock'), 'kill-server'], { allowFailure: true })
    for (const path of mountPoints()) if (path.startsWith(`${this.dir}/`)) await unmount(path)
    await rm(this.dir, { recursive: true, force: true })
  }

  #agents(): AgentSource {
    return {
      agentsDir: join(this.home, 'agents'),
      programsDir: undefined,
      prune: async () => undefined,
      choose: (requested) => ({ agent: requested ?? 'shell' }),
      launch: (_agent, { permissions }) => {
        this.permissions.push(permissions)
        return this.launch
      },
      seedHome: async (_agent, home) => await writeFile(join(home, '.profile'), '# seeded\n'),
    }
  }

  #doors(): DoorKeeper {
    return {
      attach: async (id, pid) => {
        if (this.failAttach) throw new Error('no door')
        this.attached.set(id, pid)
      },
      detach: async (id) => void this.attached.delete(id),
    }
  }
}

const ORCHESTRATOR_ID = '01J00000000000000000000000'
const quiet = pino({ level: 'silent' })
