import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type Archive } from '@ai-orchestration/protocol'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import { copyOut } from '../process/copy-out.ts'
import { spawnPiped } from '../process/spawn-piped.ts'
import { type ArchiveContent, stampOf } from './archives.ts'
import { hostGit, inTurn, spawnHostGit } from './host-git.ts'
import type { SessionRuntime } from './runtime.ts'
import { readTar } from './tar-manifest.ts'
import { layersOf } from './workspace.ts'

/**
 * Keeps a session's work outside of its project before it is removed (D-2): its own layer and home byte for byte as a
 * tar with the sha256 of every file; commits and stashes as references of `.repo`, and as a bundle of all that the
 * project's origin does not have. All of it is synced, read again from disk and compared. The session's processes must
 * have ended.
 *
 * @throws AioError EXEC_ERROR when anything of this fails; nothing may be removed then.
 */
export async function archiveSession(runtime: SessionRuntime, id: string): Promise<Archive> {
  try {
    return await runtime.archives.add(id, async (directory, createdAt) => {
      await mkdir(directory, { mode: 0o700 })
      const layer = await writeLayer(runtime.paths(id).bundle, directory)
      const stamp = stampOf(createdAt)
      const commits = await keepCommits(runtime, id, `refs/archive/${id}/${stamp}/`)
      const bundle = await writeCommits(
        runtime.repoOf(id),
        `refs/archive/${id}/${stamp}/`,
        join(directory, 'commits.bundle'),
      )
      const { session } = runtime.store.require(id)
      const [setup] = (layersOf(runtime.paths(id).bundle) ?? []).filter((name) => name.includes('.setup-'))
      return {
        session,
        layer,
        commits,
        ...(setup === undefined ? {} : { setup }),
        ...(bundle === undefined ? {} : { bundle }),
      }
    })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new AioError(
      'EXEC_ERROR',
      `The work of ${id} could not be archived, so nothing was removed; the session is stopped. ${why}`,
      { cause: error },
    )
  }
}

/**
 * The layer as it lies on disk, with the marks of deleted files that only root can read: hence tar on the host, which
 * opens each name without following links and interprets nothing of the content.
 */
async function writeLayer(bundle: string, directory: string): Promise<ArchiveContent['layer']> {
  const file = join(directory, 'layer.tar')
  const attributes = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--one-file-system', '--sparse']
  const tar = () =>
    spawnPiped('tar', [
      ...['--create', '--format=posix', '--sort=name', '--directory', bundle, ...attributes],
      // Anchored, or a directory of the workspace with this name would be left out as well.
      ...['--anchored', '--exclude=home/.cache', '--exclude=home/.npm', '--', 'upper', 'home'],
    ])
  const written = await copyOut(tar, file)
  if (written.exitCode !== 0) throw new AioError('EXEC_ERROR', `tar failed: ${written.stderr}`)
  const read = await readTar(file)
  if (read.sha256 !== written.sha256) throw readsDifferently(file)
  await writeFileDurably(join(directory, 'files.json'), `${JSON.stringify(read.files, undefined, 1)}\n`, 0o600)
  return { sha256: read.sha256, bytes: read.bytes, files: read.files.length }
}

/** Copies the session's references in `.repo`, its base and its branch, below a prefix. Answers where each points. */
async function keepCommits(runtime: SessionRuntime, id: string, prefix: string): Promise<Record<string, string>> {
  const repo = runtime.repoOf(id)
  const own = `refs/sessions/${id}/`
  return await inTurn(repo, async () => {
    const { stdout } = await hostGit(repo, ['for-each-ref', '--format=%(objectname) %(refname)', own])
    const lines = stdout.split('\n').filter((line) => line !== '')
    const refs = lines.map((line): [string, string] => {
      const [oid = '', ref = ''] = line.split(' ')
      return [`${prefix}${ref.slice(own.length)}`, oid]
    })
    const { base, headCommit = base.commit } = runtime.store.require(id).session
    refs.push([`${prefix}base`, base.commit], [`${prefix}branch`, headCommit])
    await hostGit(repo, ['update-ref', '--stdin'], {
      input: refs.map(([ref, oid]) => `update ${ref} ${oid}\n`).join(''),
    })
    return Object.fromEntries(refs)
  })
}

/** Answers nothing when the project's origin has all of it. */
async function writeCommits(repo: string, prefix: string, file: string): Promise<ArchiveContent['bundle']> {
  const git = () =>
    spawnHostGit(repo, ['bundle', 'create', '--quiet', '-', `--glob=${prefix}*`, '--not', '--remotes=origin'])
  const written = await copyOut(git, file)
  if (written.exitCode !== 0) {
    if (/empty bundle/.test(written.stderr)) return undefined
    throw new AioError('EXEC_ERROR', `The commits could not be bundled: ${written.stderr}`)
  }
  if ((await sha256Of(file)) !== written.sha256) throw readsDifferently(file)
  return { sha256: written.sha256, bytes: written.bytes }
}

/** Reads a file and answers its hash. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

function readsDifferently(file: string): AioError {
  return new AioError('EXEC_ERROR', `${file} reads differently from what was written to it: look after that disk.`)
}
