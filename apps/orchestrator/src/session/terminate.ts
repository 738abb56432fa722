import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type Archive, type CommandOutput, type WorkAtRisk } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { syncDirectory } from '../disk/write-file-durably.ts'
import { run } from '../process/run.ts'
import { archiveSession } from './archive.ts'
import { stampOf } from './archives.ts'
import { describeFailure, type HomeComing } from './home-coming.ts'
import { hostGit, inTurn } from './host-git.ts'
import { unmount } from './mounts.ts'
import { describeRisk, findWorkAtRisk, isNothing } from './risk.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'
import { removeContainer } from './start.ts'
import { removeWorktree } from './worktree.ts'

/** Bundles of removed sessions are renamed to this before they are deleted, so that a crash leaves no half session. */
export const REMOVED_PREFIX = '.removed-'

/** The session that a renamed bundle belonged to. */
export function removedId(path: string): string | undefined {
  return new RegExp(`/${REMOVED_PREFIX.replace('.', '\\.')}(.+)-\\d+$`).exec(path)?.[1]
}

/**
 * Ends a session and removes it. Its branch stays in `.repo`. Work that would be lost refuses it; with `force` that work
 * is archived and the archive verified first.
 *
 * @throws AioError WORK_AT_RISK with the {@link WorkAtRisk} as details; EXEC_ERROR when the archive fails: the session
 * then stays, stopped.
 */
export async function terminateSession(
  runtime: SessionRuntime,
  homeComing: HomeComing,
  id: string,
  { force }: { force: boolean },
  steps: Steps,
): Promise<CommandOutput<'terminate_session'>> {
  const { branch } = runtime.store.require(id).session
  if (!force) await steps.run('Check', async () => await refuseRisk(runtime, homeComing, id))
  await steps.run('Stop', async () => await stop(runtime, id))
  // Once more, because it worked on until now.
  const risk = await steps.run('Commits', async () => await findWorkAtRisk(runtime, homeComing, id))
  if (!force && !isNothing(risk)) throw riskError(id, risk)
  const archive = isNothing(risk)
    ? undefined
    : await steps.run('Archive', async () => await archiveSession(runtime, id))
  await steps.run('Remove', async () => await remove(runtime, homeComing, id, archive))
  return { sessionId: id, branch, ...(archive === undefined ? {} : { archive }) }
}

/**
 * Removes all sessions of a project. Every one of them is archived before the first is removed.
 *
 * @throws AioError EXEC_ERROR when an archive fails: all sessions then stay, some of them stopped.
 */
export async function terminateAll(
  runtime: SessionRuntime,
  homeComing: HomeComing,
  ids: readonly string[],
  steps: Steps,
): Promise<Archive[]> {
  const archives = new Map<string, Archive>()
  for (const id of ids) {
    await steps.run(`Archive ${id}`, async () => {
      await stop(runtime, id)
      await homeComing.bring(id).catch((error: unknown) => {
        // The layer has them all the same.
        runtime.log.warn({ session: id }, describeFailure(error))
      })
      archives.set(id, await archiveSession(runtime, id))
    })
  }
  for (const [id, archive] of archives)
    await steps.run(`Remove ${id}`, async () => await remove(runtime, homeComing, id, archive))
  return [...archives.values()]
}

async function refuseRisk(runtime: SessionRuntime, homeComing: HomeComing, id: string): Promise<void> {
  const risk = await findWorkAtRisk(runtime, homeComing, id)
  if (!isNothing(risk)) throw riskError(id, risk)
}

function riskError(id: string, risk: WorkAtRisk): AioError {
  return new AioError(
    'WORK_AT_RISK',
    `Removing ${id} would lose ${describeRisk(risk)}. Commit that work, or remove the session anyway with --force: it is archived first.`,
    { details: { ...risk } },
  )
}

async function stop(runtime: SessionRuntime, id: string): Promise<void> {
  const { session } = runtime.store.require(id)
  await runtime.doors.detach(id)
  await removeContainer(runtime, id)
  if (session.state === 'stopped' || session.state === 'failed') return
  await runtime.store.change(id, {
    session: { state: 'stopped', exit: { reason: 'killed', at: runtime.now().toISOString() } },
    process: undefined,
  })
}

async function remove(
  runtime: SessionRuntime,
  homeComing: HomeComing,
  id: string,
  archive: Archive | undefined,
): Promise<void> {
  const paths = runtime.paths(id)
  const repo = runtime.repoOf(id)
  const { bundles } = runtime.projects.paths(projectOf(id))
  await unmount(paths.worktree)
  await dropRefs(runtime, id, archive)
  // Its commits must outlive a power loss before it goes; git syncs neither references nor loose objects by itself.
  await run('sync', ['--file-system', '--', repo])
  // From here on the session does not exist any more; what follows clears away.
  const removed = join(bundles, `${REMOVED_PREFIX}${id}-${Date.now()}`)
  await rename(paths.bundle, removed)
  await syncDirectory(bundles)
  await runtime.store.remove(id)
  homeComing.forget(id)
  await removeWorktree(repo, paths.worktree)
  await run('rm', ['-rf', '--one-file-system', '--', removed])
}

/** The session's own references end with it; of what its branch does not hold, the commits stay in the archive's. */
async function dropRefs(runtime: SessionRuntime, id: string, archive: Archive | undefined): Promise<void> {
  const repo = runtime.repoOf(id)
  const { session } = runtime.store.require(id)
  const stamp = stampOf(runtime.now())
  await inTurn(repo, async () => {
    const own = `refs/sessions/${id}/`
    const { stdout } = await hostGit(repo, ['for-each-ref', '--format=%(objectname) %(refname)', own])
    const lines = stdout.split('\n').flatMap((line) => {
      const [oid = '', ref = ''] = line.split(' ')
      if (ref === '') return []
      const isKept = archive !== undefined || oid === session.headCommit || oid === session.base.commit
      const copy = `create refs/archive/${id}/${stamp}/${ref.slice(own.length)} ${oid}\n`
      return [...(isKept ? [] : [copy]), `delete ${ref}\n`]
    })
    if (lines.length > 0) await hostGit(repo, ['update-ref', '--stdin'], { input: lines.join('') })
  })
}
