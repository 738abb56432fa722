import { AioError, type Project } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { type LimitFlags, limitsOf } from '../limit-flags.ts'
import { inert, table } from '../output/table.ts'
import { showProgress } from '../progress.ts'

/** `aio projects list` */
export async function listProjects(cli: Cli): Promise<void> {
  const all = await cli.withClient(async (aio) => {
    const orchestratorId = await cli.orchestratorId(aio)
    return aio.projects.list.query(orchestratorId === undefined ? {} : { orchestratorId })
  })
  cli.out.result(all, (projects) =>
    projects.length === 0
      ? 'There is no project yet. Create one with: aio projects create --repo URL'
      : table(
          ['project', 'branch', 'agent', 'repository', 'title'],
          projects.map((project) => [
            project.isConflicted === true ? `${project.id} (conflicted)` : project.id,
            project.defaultBranch,
            project.agent ?? '-',
            project.repoUrl ?? '-',
            project.title ?? '',
          ]),
        ),
  )
}

/** `aio projects create [name] [--repo URL]` */
export async function createProject(
  cli: Cli,
  name: string | undefined,
  options: { repo?: string; title?: string; agent?: string },
): Promise<void> {
  await using aio = await cli.connect()
  const project = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.projects.create.mutate({
      commandId,
      ...(name === undefined ? {} : { name }),
      ...(options.repo === undefined ? {} : { repoUrl: options.repo }),
      ...(options.title === undefined ? {} : { title: options.title }),
      ...(options.agent === undefined ? {} : { agent: options.agent }),
      ...(orchestratorId === undefined ? {} : { orchestratorId }),
    })
  })
  cli.out.result(
    project,
    ({ id, defaultBranch }) =>
      `Created project ${id} (branch ${defaultBranch}). Add a session with: aio sessions create ${id} <name>`,
  )
}

/** `aio projects show <project>` */
export async function showProject(cli: Cli, projectId: string): Promise<void> {
  cli.out.result(await cli.withClient(async (aio) => await aio.projects.get.query({ projectId })), describeProject)
}

/** What `aio projects set` was given. */
export interface ProjectOptions extends LimitFlags {
  title?: string
  agent?: string
  branch?: string
  env?: string[]
  unsetEnv?: string[]
  setup?: string[]
  setupOptional?: boolean
  disposable?: string[]
  pool?: number
}

/** `aio projects set <project>` */
export async function setProject(cli: Cli, projectId: string, options: ProjectOptions): Promise<void> {
  const { title, agent, branch, setup, setupOptional, disposable, pool } = options
  const limits = limitsOf(options)
  const env = {
    ...variables(options.env ?? []),
    ...Object.fromEntries((options.unsetEnv ?? []).map((name) => [name, null])),
  }
  const change = {
    ...(title === undefined ? {} : { title: title === '' ? null : title }),
    ...(agent === undefined ? {} : { agent: agent === '' ? null : agent }),
    ...(branch === undefined ? {} : { defaultBranch: branch }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
    ...(setup === undefined ? {} : { setup: setup.every((line) => line === '') ? null : setup }),
    ...(setupOptional === undefined ? {} : { setupOptional }),
    ...(disposable === undefined ? {} : { disposable }),
    ...(limits === undefined ? {} : { limits }),
    ...(pool === undefined ? {} : { pool }),
  }
  if (Object.keys(change).length === 0)
    throw new AioError('INVALID_INPUT', 'Say what to change, such as --env NAME=VALUE. See: aio projects set --help')
  await using aio = await cli.connect()
  const project = await cli.command((commandId) => aio.projects.update.mutate({ projectId, commandId, ...change }))
  cli.out.result(project, describeProject)
}

function variables(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw new AioError('INVALID_INPUT', `${text} is no variable. Write it as NAME=VALUE.`)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

function describeProject(project: Project): string {
  const {
    id,
    title,
    repoUrl,
    defaultBranch,
    agent,
    env = {},
    setup = [],
    setupOptional,
    disposable = [],
    limits = {},
    pool = 0,
  } = project
  const rows: [string, string][] = [
    ['project', id],
    ['title', title ?? '-'],
    ['repository', repoUrl ?? '-'],
    ['branch', defaultBranch],
    ['agent', agent ?? '-'],
    ...Object.entries(env).map(([name, value]): [string, string] => ['env', `${name}=${value}`]),
    ...setup.map((line): [string, string] => [setupOptional === true ? 'setup, may fail' : 'setup', line]),
    ['disposable', disposable.join(' ') || '-'],
    ...Object.entries(limits).map(([name, value]): [string, string] => [name, String(value)]),
    ...(pool === 0 ? [] : [['pool', String(pool)] satisfies [string, string]]),
  ]
  return table(
    ['setting', 'value'],
    rows.map(([name, value]) => [name, inert(value)]),
  )
}

/** `aio projects delete <project> [--force]` */
export async function deleteProject(cli: Cli, projectId: string, { force }: { force?: boolean }): Promise<void> {
  await using aio = await cli.connect()
  const output = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    return await aio.projects.delete.mutate({ projectId, commandId, ...(force === undefined ? {} : { force }) })
  })
  cli.out.result(output, (done) =>
    [
      done.archive === undefined
        ? `Deleted project ${done.projectId}.`
        : `Deleted project ${done.projectId}; its archive is ${done.archive}.`,
      ...(done.sessions ?? []).map(({ id, sessionId }) => `Session ${sessionId} is in archive ${id}.`),
    ].join('\n'),
  )
}
