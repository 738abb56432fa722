import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type CommandInput, type Session, sessionIdOf } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { pathExists } from '../disk/path-exists.ts'
import { run } from '../process/run.ts'
import { sha256Of } from './archive.ts'
import type { FoundArchive } from './archives.ts'
import { makeSession, type Plan, prepareSession } from './create.ts'
import { hostGit, inTurn } from './host-git.ts'
import type { HostProcess } from './host-process.ts'
import { type SessionPaths, workspaceOf } from './paths.ts'
import { permissionsAgain } from './permissions.ts'
import type { SessionRuntime } from './runtime.ts'
import { settleCopy } from './settle-copy.ts'
import { setupLayerOf } from './setup.ts'
import { unmountHome } from './workspace.ts'
import { findBranchFor } from './worktree.ts'

/**
 * Makes a session of an archive: its layer and home byte for byte, and all commits and stashes, also when the project
 * was deleted and made again meanwhile. Under the name it had, its repository stays as it was; under another, it is on
 * a branch of that name.
 *
 * @returns its process; nothing when it was not to be started.
 * @throws AioError NOT_FOUND when the archive or its project is not there; CONFLICT when the name or branch is taken;
 * EXEC_ERROR when the archive is damaged, or nobody has the commits that it builds on.
 */
export async function restoreSession(
  runtime: SessionRuntime,
  input: CommandInput<'restore_session'>,
  steps: Steps,
): Promise<HostProcess | undefined> {
  const found = await runtime.archives.find(input.archiveId)
  const { archive, session: archived } = found
  const { projectId } = archive
  if (runtime.projects.list().every((project) => project.id !== projectId))
    throw new AioError(
      'NOT_FOUND',
      `The project ${projectId} of this archive is not there any more. Create it again (\`aio projects create ${projectId}\`), then restore.`,
    )
  const project = runtime.projects.require(projectId)
  const name = input.name ?? archived.name
  const id = sessionIdOf(projectId, name)
  if (runtime.store.get(id) !== undefined)
    throw new AioError('CONFLICT', `The session ${id} exists. Give the restored one another name.`)
  await steps.run('Verify', async () => await verify(found))
  await steps.run('Commits', async () => await bringCommits(runtime, found))
  const branch = `feature/${name}`
  const head = headOf(found)
  const start = await findBranchFor(runtime.repoOf(id), branch, { ref: archive.id, commit: head })
  const launch = runtime.agents.launch(archived.agent, {
    workspace: workspaceOf(id),
    interface: archived.interface ?? 'terminal',
    permissions: permissionsAgain(undefined, archived, runtime.config.isolation),
  })
  const session = describe(runtime, found, { id, name, branch, head })
  const fill = async (paths: SessionPaths) => await unpack(found, paths)
  const layers = async () => await layersFor(runtime, found, id)
  const plan: Plan = { session, project, start, launch, layers, fill }
  if (id !== archived.id) plan.settle = async () => await settleCopy(runtime, id, { branch: archived.branch })
  if (input.isStopped !== true) return await makeSession(runtime, plan, steps)
  await prepareSession(runtime, plan, steps)
  // Its container, which would have needed it, is not started.
  await unmountHome(runtime.paths(id))
  await runtime.store.change(id, { session: { state: 'stopped' } })
  return undefined
}

/** What the archived layer lay on: the project's setup may be another one by now, or may fail. */
async function layersFor(runtime: SessionRuntime, { session, setup }: FoundArchive, id: string): Promise<string[]> {
  const { commit } = session.base
  if (setup === undefined) return [commit]
  const project = runtime.projects.require(session.projectId)
  const paths = runtime.projects.paths(project.id)
  if (`${setupLayerOf(commit, project)}/upper` === setup)
    await runtime.setups.require(paths, commit, { ...project, setupOptional: true })
  if (await pathExists(join(paths.bases, setup))) return [setup, commit]
  const notice = "What the project's setup had left is not in this workspace: it has changed since, or fails now."
  await runtime.store.change(id, { session: { notice } })
  return [commit]
}

function describe(
  runtime: SessionRuntime,
  { archive, session }: FoundArchive,
  own: { id: string; name: string; branch: string; head: string },
): Session {
  const { exit: _exit, pause: _pause, reached: _reached, ...kept } = session
  const at = runtime.now().toISOString()
  return {
    ...kept,
    id: own.id,
    name: own.name,
    branch: own.branch,
    headCommit: own.head,
    orchestratorId: runtime.orchestratorId,
    state: 'starting',
    isolation: runtime.config.isolation,
    restoredFrom: archive.id,
    createdAt: at,
    updatedAt: at,
  }
}

/** Where the branch of the archived session pointed when it was last brought home. */
function headOf({ session }: FoundArchive): string {
  return session.headCommit ?? session.base.commit
}

async function verify({ archive, directory, layer, bundle }: FoundArchive): Promise<void> {
  const isWhole =
    (await sha256Of(join(directory, 'layer.tar'))) === layer.sha256 &&
    (bundle === undefined || (await sha256Of(join(directory, 'commits.bundle'))) === bundle.sha256)
  if (!isWhole)
    throw new AioError(
      'EXEC_ERROR',
      `The archive ${archive.id} is damaged: it is not what was written. See ${directory}.`,
    )
}

/** Makes sure that `.repo` has all commits of the archive: its own, and those it builds on. */
async function bringCommits(runtime: SessionRuntime, found: FoundArchive): Promise<void> {
  const { archive, directory, commits, bundle } = found
  const repo = runtime.repoOf(archive.sessionId)
  await inTurn(repo, async () => {
    const tips = [...new Set(Object.values(commits))]
    if (!(await hasAll(repo, tips))) {
      const sources = await runtime.archives.projectDirectories(archive.projectId)
      const fetchBundle = async () =>
        bundle === undefined || (await fetchAll(repo, join(directory, 'commits.bundle'), archive.sessionId))
      await fetchBundle()
      for (const source of sources) {
        if (await hasAll(repo, tips)) break
        // Where the origin has changed its history, or there was none: what was deleted with the project has it.
        const deleted = join(source, '.repo')
        if (await pathExists(deleted)) await fetchAll(repo, deleted, archive.sessionId)
        await fetchBundle()
      }
      if (!(await hasAll(repo, tips)))
        throw new AioError(
          'EXEC_ERROR',
          `The commits that ${archive.id} builds on are neither in the project nor in any archive. Create the project again from a repository that has ${found.session.base.commit.slice(0, 12)}.`,
        )
    }
    const lines = Object.entries(commits).map(([ref, oid]) => `update ${ref} ${oid}\n`)
    await hostGit(repo, ['update-ref', '--stdin'], { input: lines.join('') })
    await dropIncoming(repo, archive.sessionId)
  })
}

async function hasAll(repo: string, tips: readonly string[]): Promise<boolean> {
  const { exitCode } = await hostGit(repo, ['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all'], {
    input: [...tips, ''].join('\n'),
    allowFailure: true,
  })
  return exitCode === 0
}

async function fetchAll(repo: string, source: string, sessionId: string): Promise<boolean> {
  const { exitCode } = await hostGit(
    repo,
    [
      // Not checked for faults again: all of it has been in a repository of ours.
      ...['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--'],
      ...[source, `+refs/*:refs/incoming/${sessionId}/*`],
    ],
    { allowFailure: true },
  )
  return exitCode === 0
}

async function dropIncoming(repo: string, sessionId: string): Promise<void> {
  const { stdout } = await hostGit(repo, ['for-each-ref', '--format=delete %(refname)', `refs/incoming/${sessionId}`])
  if (stdout !== '') await hostGit(repo, ['update-ref', '--stdin'], { input: stdout })
}

/** Nothing of it has ever been writable by an agent under these names, so no link of one is followed here. */
async function unpack({ directory }: FoundArchive, paths: SessionPaths): Promise<void> {
  await mkdir(paths.work, { mode: 0o700 })
  await run('tar', [
    ...['--extract', '--file', join(directory, 'layer.tar'), '--directory', paths.bundle, '--preserve-permissions'],
    ...['--same-owner', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', '--', 'upper', 'home'],
  ])
}
