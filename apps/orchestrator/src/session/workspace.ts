import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { chown, constants, copyFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import { inTurn } from './host-git.ts'
import { readOrUndefined } from './host-process.ts'
import { type MappedMount, mountMapped } from './mapped-mounts.ts'
import { isMounted, unmount } from './mounts.ts'
import type { SessionPaths } from './paths.ts'
import type { GitIdentity } from './runtime.ts'
import { AGENT_HOST_UID, UID_BASE } from './uid-range.ts'

/** In a session's bundle: the layers below its own, since a project's setup may be another one later. */
const LAYERS_FILE = 'layers'
/** As {@link baseLayer} and setups name them: nothing that leads out of the bases, or that a mount option could hold. */
const LAYER = /^[0-9a-f]{40,64}(\.setup-[0-9a-f]{12}\/upper)?$/

/**
 * The layers that a session's own lies on, the upper one first; `undefined` in a bundle of an earlier version, which has
 * none but the base.
 *
 * @throws AioError INVALID_INPUT when the file is damaged.
 */
export function layersOf(bundle: string): string[] | undefined {
  const text = readOrUndefined(join(bundle, LAYERS_FILE))
  if (text === undefined) return undefined
  const layers = text.trim().split('\n')
  if (!layers.every((layer) => LAYER.test(layer)))
    throw new AioError('INVALID_INPUT', `${join(bundle, LAYERS_FILE)} is damaged, so the workspace was not mounted.`)
  return layers
}

/** Records the layers that a session's own lies on: directories below the project's bases, the upper one first. */
export function writeLayers(bundle: string, layers: readonly string[]): void {
  writeFileSync(join(bundle, LAYERS_FILE), `${layers.join('\n')}\n`, { mode: 0o600 })
}

/** What a session's own repository begins with, on top of its base. */
export interface OwnRepository {
  branch: string
  commit: string
  identity: GitIdentity
  /** Without user and password. */
  repoUrl: string | undefined
}

/**
 * Writes the first entries of a session's own layer: its branch, checked out, and its configuration. Plain files instead
 * of `git switch`, so that it takes the same time for every size of repository; and all in one turn, because a dozen small
 * files take 1 ms so and 8 ms one await after the other.
 */
export function writeUpper(paths: SessionPaths, repository: OwnRepository): void {
  mkdirSync(paths.work, { mode: 0o700 })
  const slash = repository.branch.lastIndexOf('/')
  const heads = `.git/refs/heads/${repository.branch.slice(0, slash)}`
  for (const directory of ['', '.git', '.git/refs', '.git/refs/heads', heads]) {
    mkdirSync(join(paths.upper, directory), { mode: 0o755 })
    chownSync(join(paths.upper, directory), AGENT_HOST_UID, AGENT_HOST_UID)
  }
  const files: Record<string, string> = {
    '.git/HEAD': `ref: refs/heads/${repository.branch}\n`,
    [`${heads}/${repository.branch.slice(slash + 1)}`]: `${repository.commit}\n`,
    '.git/config': gitConfig(repository),
  }
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(paths.upper, path), content, { mode: 0o644, flag: 'wx' })
    chownSync(join(paths.upper, path), AGENT_HOST_UID, AGENT_HOST_UID)
  }
}

/**
 * Copies the references of the base into a session's own layer, which has just been written: so they stay what they are
 * when the base is made again later, from a repository that has gone on.
 */
export async function writeRefs(paths: SessionPaths, base: string): Promise<void> {
  const own = join(paths.upper, '.git/packed-refs')
  await copyFile(join(base, '.git/packed-refs'), own, constants.COPYFILE_EXCL)
  await chown(own, AGENT_HOST_UID, AGENT_HOST_UID)
}

function gitConfig({ commit, identity, repoUrl }: OwnRepository): string {
  const isSha256 = commit.length === 64
  return [
    '[core]',
    `\trepositoryformatversion = ${isSha256 ? 1 : 0}`,
    '\tfilemode = true',
    '\tbare = false',
    '\tlogallrefupdates = true',
    ...(isSha256 ? ['[extensions]', '\tobjectFormat = sha256'] : []),
    // What is collected here would be looked for in vain by whoever resumes.
    '[gc]',
    '\tauto = 0',
    '[user]',
    `\tname = ${quoted(identity.name)}`,
    `\temail = ${quoted(identity.email)}`,
    ...(repoUrl === undefined
      ? []
      : ['[remote "origin"]', `\turl = ${quoted(repoUrl)}`, '\tfetch = +refs/heads/*:refs/remotes/origin/*']),
    '',
  ].join('\n')
}

function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&').replace(/[\n\r\t]/g, ' ')}"`
}

/**
 * Mounts a session's workspace on its worktree, unless that has been done.
 *
 * @throws AioError ISOLATION_UNAVAILABLE when overlays cannot be mounted here.
 */
export async function mountWorkspace(paths: SessionPaths, commit: string): Promise<void> {
  // One after the other: two overlays over the same layer would ruin it.
  await inTurn(paths.worktree, async () => await mountOnce(paths, commit))
}

/** Makes a session's home ready to be mounted into its container, unless that has been done. */
export async function mountHome(paths: SessionPaths): Promise<void> {
  if (paths.uidBase === UID_BASE || isMounted(paths.mappedHome)) return
  await mountMapped(paths.uidBase, [homeMount(paths)])
}

/** Takes back what {@link mountHome} did; a container that runs keeps it. */
export async function unmountHome(paths: SessionPaths): Promise<void> {
  if (paths.uidBase === UID_BASE) return
  await unmount(paths.mappedHome)
  // Only empty directories: should the home still be mounted there, nothing of it may go.
  for (const path of [paths.mappedHome, paths.mapping]) await rmdir(path).catch(ignoreAbsent)
}

/** {@link mountWorkspace} and {@link mountHome} of a new session, in one go. */
export async function mountAll(paths: SessionPaths, commit: string): Promise<void> {
  await inTurn(paths.worktree, async () => await mountOnce(paths, commit, true))
}

function homeMount({ home, mappedHome }: SessionPaths): MappedMount {
  return { type: 'bind', source: home, target: mappedHome }
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

async function mountOnce(paths: SessionPaths, commit: string, withHome = false): Promise<void> {
  if (isMounted(paths.worktree)) return
  const layers = layersOf(paths.bundle) ?? [commit]
  if (paths.uidBase !== UID_BASE) {
    const lowers = layers.map((layer) => join(paths.bundle, '../../.bases', layer))
    const scratch = join(paths.mapping, 'workspace')
    const overlay: MappedMount = { type: 'overlay', lowers, layers: paths.bundle, target: paths.worktree, scratch }
    await mountMapped(paths.uidBase, withHome ? [overlay, homeMount(paths)] : [overlay])
    return
  }
  // Relative, because a colon or comma in the path of PROJECTS_DIR would be taken for a separator.
  const lower = layers.map((layer) => `../../.bases/${layer}`).join(':')
  const result = await run(
    'mount',
    [
      '--no-mtab',
      '--types',
      'overlay',
      '--options',
      `nosuid,nodev,lowerdir=${lower},upperdir=upper,workdir=work`,
      'aio',
      paths.worktree,
    ],
    { cwd: paths.bundle, allowFailure: true },
  )
  if (result.exitCode !== 0)
    throw new AioError(
      'ISOLATION_UNAVAILABLE',
      `The workspace could not be mounted (${result.stderr.trim().split('\n')[0]}). \`aio doctor\` says what overlays need; PROJECTS_DIR must lie on ext4, xfs or btrfs.`,
    )
}
