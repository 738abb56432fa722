import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
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
