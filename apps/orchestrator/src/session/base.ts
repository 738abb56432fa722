import { randomBytes } from 'node:crypto'
import { chown, copyFile, mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { pathExists } from '../disk/path-exists.ts'
import { run } from '../process/run.ts'
import type { ProjectPaths } from '../project/projects.ts'
import { objectsBind } from './binds.ts'
import type { HelperContainers } from './helper.ts'
import { hostGit } from './host-git.ts'
import { AGENT_HOST_UID } from './uid-range.ts'

/** Where a base is while it is made. */
export const INSIDE_BASE = '/project/base'

/** Bases and layers that no session needs and that stay, for a session that starts from the same commit again. */
const KEPT_UNUSED = 3

/** A checkout of a large repository on a slow disk, in milliseconds. */
const CHECKOUT_DEADLINE_MS = 10 * 60_000

/**
 * Checks out, and sets the index two seconds ahead of what it lists: git counts whole seconds, and would otherwise read
 * every file again in each `git status` because all were written in the same second as the index.
 */
const CHECKOUT = 'git reset --hard --quiet && touch -d "2 seconds" .git/index'

/** Cached checkouts that workspaces are layered on: one per commit, never changed once made. */
export class BaseCache {
  readonly #helpers: HelperContainers
  readonly #building = new Map<string, Promise<void>>()

  constructor(helpers: HelperContainers) {
    this.#helpers = helpers
  }

  /**
   * Makes sure that a commit's base exists; several requests at once build it once. `defaultBranch` is there inside as
   * a local branch.
   *
   * @throws AioError EXEC_ERROR when it cannot be checked out.
   */
  async require(project: ProjectPaths, commit: string, defaultBranch: string): Promise<void> {
    const target = join(project.bases, commit)
    if (await pathExists(target)) return
    const building = this.#building.get(target) ?? this.#build(project, commit, defaultBranch, target)
    this.#building.set(target, building)
    try {
      await building
    } finally {
      this.#building.delete(target)
    }
  }

  /**
   * Removes bases and layers of setups that nothing lies on, but for the newest few: what is here is only a cache.
   *
   * @param isUsed tells whether a directory below the bases must stay.
   */
  async prune(project: ProjectPaths, isUsed: (name: string) => boolean): Promise<void> {
    const names = await readdir(project.bases)
    const finished = names.filter((name) => !name.startsWith('.') && !isUsed(name))
    const aged = await Promise.all(
      finished.map(async (name) => ({ name, at: (await stat(join(project.bases, name))).ctimeMs })),
    )
    for (const { name } of aged.toSorted((a, b) => b.at - a.at).slice(KEPT_UNUSED)) {
      // Asked again: a session may have been made meanwhile.
      if (isUsed(name)) continue
      const removed = join(project.bases, `.removed-${name}-${randomBytes(4).toString('hex')}`)
      await rename(join(project.bases, name), removed)
      await run('rm', ['-rf', '--one-file-system', '--', removed])
    }
  }

  async #build(project: ProjectPaths, commit: string, defaultBranch: string, target: string): Promise<void> {
    await mkdir(project.bases, { recursive: true, mode: 0o711 })
    const unfinished = join(project.bases, `.building-${commit}-${randomBytes(4).toString('hex')}`)
    try {
      await mkdir(unfinished, { mode: 0o755 })
      await writeRepository(project.repo, commit, defaultBranch, join(unfinished, '.git'))
      await chown(unfinished, AGENT_HOST_UID, AGENT_HOST_UID)
      await this.#checkOut(project.repo, commit, unfinished)
      // A power loss right after the rename must not leave empty files in something that is never looked at again.
      await run('sync', ['--file-system', '--', unfinished])
      await rename(unfinished, target)
    } catch (error) {
      await run('rm', ['-rf', '--one-file-system', '--', unfinished])
      throw error
    }
  }

  /** Inside a container, so that nothing of the repository's content can run on the host, and as the user that owns it. */
  async #checkOut(repo: string, commit: string, directory: string): Promise<void> {
    const { exitCode, stderr } = await this.#helpers.text({
      argv: ['/bin/sh', '-c', CHECKOUT],
      cwd: INSIDE_BASE,
      binds: [{ source: directory, destination: INSIDE_BASE, isWritable: true }, objectsBind(repo)],
      deadlineMs: CHECKOUT_DEADLINE_MS,
      maxBytes: 1024 * 1024,
    })
    if (exitCode !== 0)
      throw new AioError('EXEC_ERROR', `Commit ${commit} could not be checked out: ${stderr.trim().slice(-500)}`)
  }
}

/**
 * Writes a complete repository as plain files: its own references and index to come, objects from the project's. Other
 * sessions' branches are not in it.
 */
async function writeRepository(repo: string, commit: string, defaultBranch: string, git: string): Promise<void> {
  const isSha256 = commit.length === 64
  const directories = ['', 'info', 'objects', 'objects/info', 'objects/pack', 'refs', 'refs/heads', 'refs/tags']
  const format = isSha256 ? '1\n[extensions]\n\tobjectFormat = sha256\n[core]' : '0'
  const files: Record<string, string> = {
    HEAD: `${commit}\n`,
    config: `[core]\n\trepositoryformatversion = ${format}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n`,
    'objects/info/alternates': '/project/.objects\n',
    'packed-refs': await sharedRefs(repo, defaultBranch),
  }
  for (const directory of directories) await mkdir(join(git, directory), { mode: 0o755 })
  for (const [path, content] of Object.entries(files)) await writeFile(join(git, path), content, { mode: 0o644 })
  const shallow = join(repo, '.git/shallow')
  if (await pathExists(shallow)) await copyFile(shallow, join(git, 'shallow'))
  await run('chown', ['-R', `${AGENT_HOST_UID}:${AGENT_HOST_UID}`, '--', git])
}

async function sharedRefs(repo: string, defaultBranch: string): Promise<string> {
  const patterns = ['refs/remotes/origin', 'refs/tags', `refs/heads/${defaultBranch}`]
  const { stdout } = await hostGit(repo, ['for-each-ref', '--format=%(objectname) %(refname)', ...patterns])
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith(' refs/remotes/origin/HEAD'))
    .map((line) => `${line}\n`)
    .join('')
}
