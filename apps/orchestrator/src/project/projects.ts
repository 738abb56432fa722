import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AioError,
  type CloneUrl,
  type CommandInput,
  isSlug,
  type OrchestratorEvent,
  type Project,
  parseCloneUrl,
  type SecretInfo,
  type StreamOrder,
  toAioError,
} from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { moveDirectory } from '../disk/move-directory.ts'
import { pathExists } from '../disk/path-exists.ts'
import type { Logger } from '../log.ts'
import { run } from '../process/run.ts'
import {
  DEFAULT_DISPOSABLE,
  type ProjectFile,
  projectFileSchema,
  readProjectFile,
  writeProjectFile,
} from './project-file.ts'
import {
  assertBranch,
  cloneRepository,
  fetchOrigin,
  hardenRepository,
  initRepository,
  settleDefaultBranch,
} from './repository.ts'
import type { ProjectSecrets, SecretReference } from './secrets.ts'

/** What {@link Projects} needs of the rest. */
export interface ProjectServices {
  projectsDir: string
  /** Where the directory of a deleted project is moved to. */
  archivesDir: string
  orchestratorId: string
  log: Logger
  secrets: ProjectSecrets
}

/** Where the parts of a project lie. */
export interface ProjectPaths {
  dir: string
  repo: string
  bundles: string
  bases: string
}

/** A project with what only its own machine needs to know. */
export interface ProjectRecord extends Project {
  disposable: string[]
  secretReferences: Readonly<Record<string, SecretReference>>
  git: { name: string; email: string } | undefined
  idlePauseMs?: number | undefined
  egress?: ProjectFile['egress']
  budget?: ProjectFile['budget']
}

/** What is to happen to a project's secrets. */
type SecretsChange = NonNullable<Extract<StreamOrder, { type: 'secrets' }>['change']>

/** A fetch of the default branch is not repeated within this time, in milliseconds. */
const FETCH_INTERVAL_MS = 60_000

/** The projects of this machine: one directory each under PROJECTS_DIR. */
export class Projects {
  readonly #services: ProjectServices
  readonly #projects = new Map<string, ProjectRecord>()
  readonly #creating = new Set<string>()
  readonly #fetchedAt = new Map<string, number>()
  readonly #listeners = new Set<(event: OrchestratorEvent) => void>()

  private constructor(services: ProjectServices) {
    this.#services = services
  }

  /** Reads every project of PROJECTS_DIR; one whose file is not valid is left alone and reported in the log. */
  static async open(services: ProjectServices): Promise<Projects> {
    await mkdir(services.projectsDir, { recursive: true })
    const projects = new Projects(services)
    for (const entry of await readdir(services.projectsDir, { withFileTypes: true })) {
      if (!entry.isDirectory() || !isSlug(entry.name)) continue
      await projects.#load(entry.name)
    }
    return projects
  }

  async #load(id: string): Promise<void> {
    const path = join(this.#services.projectsDir, id, 'project.toml')
    try {
      const file = await readProjectFile(path)
      if (file.id !== id) throw new AioError('INVALID_INPUT', `${path} is about ${file.id}, not about ${id}.`)
      this.#projects.set(id, this.#record(file))
    } catch (error) {
      // A directory that is not a project is none of our business; a broken project file is worth a line.
      const problem = toAioError(error)
      if (problem.code !== 'NOT_FOUND') this.#services.log.warn({ project: id }, problem.message)
    }
  }

  #record(file: ProjectFile): ProjectRecord {
    return {
      id: file.id,
      name: file.name,
      ...(file.title === undefined ? {} : { title: file.title }),
      ...(file.repoUrl === undefined ? {} : { repoUrl: file.repoUrl }),
      orchestratorId: this.#services.orchestratorId,
      defaultBranch: file.defaultBranch,
      ...(file.agent === undefined ? {} : { agent: file.agent }),
      createdAt: file.createdAt,
      disposable: file.disposable,
      ...(isEmpty(file.env) ? {} : { env: file.env }),
      ...(isEmpty(file.setup) ? {} : { setup: file.setup }),
      ...(file.setupOptional === undefined ? {} : { setupOptional: file.setupOptional }),
      secretReferences: file.secrets ?? {},
      git: file.git,
      ...(isEmpty(file.limits) ? {} : { limits: file.limits }),
      ...(file.pool === undefined || file.pool === 0 ? {} : { pool: file.pool }),
      idlePauseMs: file.idlePauseMs,
      egress: file.egress,
      budget: file.budget,
    }
  }

  /** All projects, by name. */
  list(): Project[] {
    return [...this.#projects.values()].map(toPublic).sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** One project, if it exists. */
  get(id: string): ProjectRecord | undefined {
    return this.#projects.get(id)
  }

  /** One project. @throws AioError NOT_FOUND. */
  require(id: string): ProjectRecord {
    const project = this.#projects.get(id)
    if (project === undefined)
      throw new AioError('NOT_FOUND', `There is no project ${id} on this machine. \`aio projects list\` shows all.`)
    return project
  }

  /** Where a project's parts lie, whether it exists or not. */
  paths(id: string): ProjectPaths {
    if (!isSlug(id)) throw new AioError('INVALID_INPUT', 'A project id is a name.')
    const dir = join(this.#services.projectsDir, id)
    return { dir, repo: join(dir, '.repo'), bundles: join(dir, '.bundles'), bases: join(dir, '.bases') }
  }

  /** Calls back for every project that is made, changed or removed. @returns the way to stop it. */
  onChange(listener: (event: OrchestratorEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Makes a project: clones its repository, or makes an empty one. It appears at once or not at all.
   *
   * @throws AioError CONFLICT when the name is taken, INVALID_INPUT when there is none, FORBIDDEN when a local path is
   * asked for by someone who is no admin, EXEC_ERROR when the clone fails.
   */
  async create(input: CommandInput<'create_project'>, by: { isAdmin: boolean }, steps: Steps): Promise<Project> {
    const source = input.repoUrl === undefined ? undefined : parseCloneUrl(input.repoUrl)
    if (source?.kind === 'local' && !by.isAdmin)
      throw new AioError(
        'FORBIDDEN',
        "Only an admin may clone a path of the orchestrator's machine. Use an https or ssh URL.",
      )
    const id = nameOf(input, source)
    const { dir } = this.paths(id)
    if (this.#creating.has(id) || this.#projects.has(id) || (await pathExists(dir)))
      throw new AioError(
        'CONFLICT',
        `A project or directory named ${id} exists on this machine. Choose another name, for example with \`aio projects create NAME --repo URL\`.`,
      )
    this.#creating.add(id)
    try {
      return await this.#make(id, input, source, steps)
    } finally {
      this.#creating.delete(id)
    }
  }

  async #make(
    id: string,
    input: CommandInput<'create_project'>,
    source: CloneUrl | undefined,
    steps: Steps,
  ): Promise<Project> {
    // A dot keeps the unfinished directory from being taken for a project.
    const unfinished = await mkdtemp(join(this.#services.projectsDir, `.creating-${id}-`))
    const repo = join(unfinished, '.repo')
    await steps.run(
      'Repository',
      async () => {
        if (source === undefined) await initRepository(repo)
        else
          await cloneRepository(source, repo, {
            signal: steps.signal,
            onProgress: (percent, text) => steps.progress(percent, text),
          })
      },
      async () => await rm(unfinished, { recursive: true, force: true }),
    )
    const file: ProjectFile = {
      id,
      name: id,
      ...(input.title === undefined ? {} : { title: input.title }),
      ...(source === undefined ? {} : { repoUrl: source.redacted }),
      defaultBranch: await settleDefaultBranch(repo),
      ...(input.agent === undefined ? {} : { agent: input.agent }),
      disposable: DEFAULT_DISPOSABLE,
      createdAt: new Date().toISOString(),
    }
    const { dir } = this.paths(id)
    // The rename comes last, so that there is nothing to undo here: before it, the first step's undo takes all away.
    await steps.run('Project', async () => {
      await hardenRepository(repo)
      await mkdir(join(unfinished, '.bundles'), { mode: 0o700 })
      await mkdir(join(unfinished, '.bases'), { mode: 0o711 })
      await writeProjectFile(join(unfinished, 'project.toml'), file)
      await chmod(unfinished, 0o711)
      await rename(unfinished, dir)
    })
    const project = this.#record(file)
    this.#projects.set(id, project)
    this.#fetchedAt.set(id, Date.now())
    this.#emit({ type: 'project_updated', projectId: id, project: toPublic(project) })
    return toPublic(project)
  }

  /**
   * Fetches a project's origin unless that was done a moment ago; a failure is reported in the log and changes nothing.
   */
  async refresh(id: string): Promise<void> {
    const project = this.require(id)
    const last = this.#fetchedAt.get(id) ?? 0
    if (project.repoUrl === undefined || Date.now() - last < FETCH_INTERVAL_MS) return
    this.#fetchedAt.set(id, Date.now())
    try {
      await fetchOrigin(this.paths(id).repo, parseCloneUrl(project.repoUrl).kind)
    } catch (error) {
      this.#services.log.warn({ project: id }, `origin could not be fetched: ${toAioError(error).message}`)
    }
  }

  /**
   * Changes a project's settings, for sessions that are made from now on. What people have written into `project.toml`
   * since it was read is taken over; comments in it are lost.
   *
   * @throws AioError NOT_FOUND; INVALID_INPUT when the file is not valid or there is no such branch.
   */
  async update(change: CommandInput<'update_project'>, steps: Steps): Promise<Project> {
    const { id } = this.require(change.projectId)
    const { dir, repo } = this.paths(id)
    const path = join(dir, 'project.toml')
    if (change.defaultBranch !== undefined) await assertBranch(repo, change.defaultBranch)
    const file = withChanges(await readProjectFile(path), change)
    await steps.run('Settings', async () => await writeProjectFile(path, file))
    const project = this.#record(file)
    this.#projects.set(id, project)
    this.#emit({ type: 'project_updated', projectId: id, project: toPublic(project) })
    return toPublic(project)
  }

  /**
   * Changes or lists the secrets of a project; sessions that are started from now on have them. Values are never answered.
   *
   * @throws AioError NOT_FOUND, LIMIT
   */
  async secrets(id: string, change?: SecretsChange): Promise<SecretInfo[]> {
    const { secretReferences } = this.require(id)
    const { secrets } = this.#services
    if (change?.type === 'set') await secrets.set(id, change.name, change.value)
    if (change?.type === 'unset') await secrets.unset(id, change.name)
    return await secrets.list(id, secretReferences)
  }

  /** What a session of a project is given; only for its processes (I-4). @throws AioError NOT_FOUND, INVALID_INPUT */
  async secretValues(id: string): Promise<ReadonlyMap<string, string>> {
    return await this.#services.secrets.values(id, this.require(id).secretReferences)
  }

  /**
   * Takes a project away; its directory with all branches is moved to the archives, not deleted. The caller makes sure
   * that it has no session.
   *
   * @returns where it was moved to.
   */
  async delete(id: string, steps: Steps): Promise<{ projectId: string; archive: string }> {
    this.require(id)
    const archive = join(
      this.#services.archivesDir,
      'projects',
      `${id}-${new Date().toISOString().replaceAll(':', '')}`,
    )
    await steps.run('Archive', async () => {
      await mkdir(join(this.#services.archivesDir, 'projects'), { recursive: true, mode: 0o700 })
      // Checkouts can be made again, and nobody uses them any more.
      await run('rm', ['-rf', '--one-file-system', '--', this.paths(id).bases])
      await moveDirectory(this.paths(id).dir, archive)
    })
    await this.#services.secrets.forget(id)
    this.#projects.delete(id)
    this.#emit({ type: 'project_removed', projectId: id })
    return { projectId: id, archive }
  }

  #emit(event: OrchestratorEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

function toPublic({
  secretReferences: _references,
  git: _git,
  idlePauseMs: _idlePauseMs,
  egress: _egress,
  budget: _budget,
  ...project
}: ProjectRecord): Project {
  return project
}

function isEmpty(settings: object | undefined): settings is undefined {
  return settings === undefined || Object.keys(settings).length === 0
}

/** A project's file with what an update changes; `null` takes a setting away. */
function withChanges(file: ProjectFile, change: CommandInput<'update_project'>): ProjectFile {
  const { projectId: _projectId, env: variables, limits, ...settings } = change
  const env = Object.entries({ ...file.env, ...variables }).flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  )
  const changed = Object.entries({
    ...file,
    ...settings,
    env: Object.fromEntries(env),
    limits: limits === null ? undefined : { ...file.limits, ...limits },
  })
  return projectFileSchema.parse(
    Object.fromEntries(changed.filter(([, value]) => value !== null && value !== undefined)),
  )
}

function nameOf(input: CommandInput<'create_project'>, source: CloneUrl | undefined): string {
  const name = input.name ?? source?.inferredName
  if (name === undefined)
    throw new AioError(
      'INVALID_INPUT',
      source === undefined
        ? 'A project without a repository needs a name.'
        : 'No project name can be made from this repository URL: give one.',
    )
  return name
}
