import { mkdirSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import type { ProjectRecord } from '../project/projects.ts'
import { resolveCommits } from './commit-names.ts'
import { hostGit, inTurn } from './host-git.ts'
import { isMounted } from './mounts.ts'

/** What a new session starts from. */
export interface StartingPoint {
  ref: string
  commit: string
  /** False when it continues a branch that was there before. */
  isOwnBranch: boolean
}

/**
 * Finds the commit a session starts from.
 *
 * @throws AioError INVALID_INPUT when the ref does not exist; CONFLICT when its branch exists and is not to be continued.
 */
export async function findStart(
  repo: string,
  project: Pick<ProjectRecord, 'defaultBranch'>,
  request: { branch: string; base?: string | undefined; resumeBranch?: boolean | undefined },
): Promise<StartingPoint> {
  const ref = request.base ?? project.defaultBranch
  // What was fetched last is newer than the local branch of the clone; another session's branch exists only here.
  const sources = ref.startsWith('feature/')
    ? ['refs/heads/', 'refs/remotes/origin/', '']
    : ['refs/remotes/origin/', '']
  const names = [`refs/heads/${request.branch}`, ...sources.map((prefix) => `${prefix}${ref}`)]
  const [existing, ...found] = await resolveCommits(repo, names)
  if (existing !== undefined) {
    if (request.resumeBranch !== true)
      throw new AioError(
        'CONFLICT',
        `The branch ${request.branch} exists, and no session owns it. Continue from it with resumeBranch (\`aio sessions create … --resume-branch\`), or choose another name.`,
        { details: { branch: request.branch, commit: existing, resumeBranch: true } },
      )
    return { ref: request.branch, commit: existing, isOwnBranch: false }
  }
  if (request.resumeBranch === true)
    throw new AioError('NOT_FOUND', `There is no branch ${request.branch} to continue from. Leave resumeBranch out.`)
  const commit = found.find((oid) => oid !== undefined)
  if (commit === undefined)
    throw new AioError(
      'INVALID_INPUT',
      `${ref} is no branch, tag or commit of this project. If it is new on the origin, try again in a moment.`,
    )
  return { ref, commit, isOwnBranch: true }
}

/**
 * Where the branch of a fork begins.
 *
 * @throws AioError CONFLICT when there is a branch of that name.
 */
export async function findFreeBranch(
  repo: string,
  branch: string,
  start: Pick<StartingPoint, 'ref' | 'commit'>,
): Promise<StartingPoint> {
  const [existing] = await resolveCommits(repo, [`refs/heads/${branch}`])
  if (existing !== undefined) throw new AioError('CONFLICT', `The branch ${branch} exists. Choose another name.`)
  return { ...start, isOwnBranch: true }
}

/**
 * Where the branch of a restored session begins: it may be there, as long as it holds nothing that the session does not.
 *
 * @throws AioError CONFLICT when it holds other commits.
 */
export async function findBranchFor(
  repo: string,
  branch: string,
  start: Pick<StartingPoint, 'ref' | 'commit'>,
): Promise<StartingPoint> {
  const [existing] = await resolveCommits(repo, [`refs/heads/${branch}`])
  if (existing === undefined) return { ...start, isOwnBranch: true }
  const { exitCode } = await hostGit(repo, ['merge-base', '--is-ancestor', existing, start.commit], {
    allowFailure: true,
  })
  if (exitCode === 0) return { ...start, isOwnBranch: false }
  throw new AioError(
    'CONFLICT',
    `The branch ${branch} has gone on to other commits (${existing.slice(0, 12)}) since the session was archived. Restore it under another name.`,
  )
}

const LOCK_REASON = 'a session of AI Orchestration works here; remove it with: aio sessions terminate'

/**
 * Registers an empty directory as a worktree, locked, as git itself does it (gitrepository-layout). Plain files, because
 * `git worktree add` takes 17 ms of a creation; the session's branch has to be made besides, by {@link makeBranch}.
 */
export async function registerWorktree(repo: string, directory: string, branch: string): Promise<void> {
  const registrations = join(repo, '.git/worktrees')
  const registration = join(registrations, basename(directory))
  mkdirSync(registrations, { recursive: true })
  // It appears at once, so that a crash leaves a registration that git can remove, or none.
  const unfinished = mkdtempSync(join(repo, '.git/new-worktree-'))
  try {
    const files: Record<string, string> = {
      locked: `${LOCK_REASON}\n`,
      gitdir: `${join(directory, '.git')}\n`,
      commondir: '../..\n',
      HEAD: `ref: refs/heads/${branch}\n`,
    }
    for (const [name, content] of Object.entries(files)) writeFileSync(join(unfinished, name), content)
    writeFileSync(join(directory, '.git'), `gitdir: ${registration}\n`, { flag: 'wx' })
    renameSync(unfinished, registration)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    throw error
  }
}

/** Makes a session's branch at the commit it starts from. @throws AioError EXEC_ERROR when it exists or cannot be made. */
export async function makeBranch(repo: string, branch: string, commit: string): Promise<void> {
  await inTurn(repo, async () => {
    await hostGit(repo, ['update-ref', '--stdin'], { input: `create refs/heads/${branch} ${commit}\n` })
  })
}

/**
 * Takes a worktree's registration and its empty directory away; does nothing when there is none. The workspace must be
 * unmounted: a directory that holds anything but git's own link stays and is an error, so nothing can be lost here.
 */
export async function removeWorktree(repo: string, directory: string): Promise<void> {
  if (isMounted(directory)) throw new AioError('EXEC_ERROR', `${directory} is still mounted, so it was not removed.`)
  await rm(join(directory, '.git'), { force: true })
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await inTurn(repo, async () => {
    const { stdout } = await hostGit(repo, ['worktree', 'list', '--porcelain', '-z'])
    // Twice, because it is locked.
    if (stdout.split('\0').includes(`worktree ${directory}`))
      await hostGit(repo, ['worktree', 'remove', '--force', '--force', '--', directory])
  })
}

/** Deletes a branch that was made for a session, as long as it still points where it was made (D-4). */
export async function removeUnusedBranch(repo: string, branch: string, commit: string): Promise<void> {
  await inTurn(repo, async () => {
    await hostGit(repo, ['update-ref', '-d', `refs/heads/${branch}`, commit], { allowFailure: true })
  })
}
