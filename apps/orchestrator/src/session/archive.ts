import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { AioError, type Archive } from '@ai-orchestration/protocol'
import { syncDirectory, writeFileDurably } from '../disk/write-file-durably.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'
import { hostGit, inTurn } from './host-git.ts'
import type { SessionRuntime } from './runtime.ts'
import { readTar } from './tar-manifest.ts'

/**
 * Keeps a session's work outside of its project before it is removed (D-2): commits and stashes as references of
 * `.repo`, and its own layer and home byte for byte as a tar with the sha256 of every file. All of it is synced, read
 * again from disk and compared. The session's processes must have ended.
 *
 * @throws AioError EXEC_ERROR when anything of this fails; nothing may be removed then.
 */
export async function archiveSession(runtime: SessionRuntime, id: string): Promise<Archive> {
  const createdAt = runtime.now().toISOString()
  const stamp = createdAt.replace(/[-:.]/g, '')
  const directory = join(runtime.config.aioHome, 'archives', id, stamp)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  try {
    const tar = join(directory, 'layer.tar')
    const written = await writeTar(runtime.paths(id).bundle, tar)
    const read = await readTar(tar)
    if (read.sha256 !== written)
      throw new AioError('EXEC_ERROR', 'The archive reads differently from what was written, so nothing was removed.')
    const refs = await archiveRefs(runtime, id, `refs/archive/${id}/${stamp}`)
    const archive: Archive = {
      id: `${id}/${stamp}`,
      sessionId: id,
      createdAt,
      bytes: read.bytes,
      sha256: read.sha256,
      refs,
    }
    const { session } = runtime.store.require(id)
    const manifest = { ...archive, session, layers: { workspace: 'upper', home: 'home' }, files: read.files }
    await writeFileDurably(join(directory, 'manifest.json'), `${JSON.stringify(manifest, undefined, 1)}\n`, 0o600)
    await syncDirectory(join(directory, '..'))
    return archive
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

/**
 * Copies the session's references in `.repo` below a prefix of the archive, and answers their names.
 */
async function archiveRefs(runtime: SessionRuntime, id: string, prefix: string): Promise<string[]> {
  const repo = runtime.repoOf(id)
  const own = `refs/sessions/${id}/`
  return await inTurn(repo, async () => {
    const { stdout } = await hostGit(repo, ['for-each-ref', '--format=%(objectname) %(refname)', own])
    const refs = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' '))
      .map(([oid = '', ref = '']) => ({ oid, ref: `${prefix}/${ref.slice(own.length)}` }))
    if (refs.length > 0)
      await hostGit(repo, ['update-ref', '--stdin'], {
        input: refs.map(({ oid, ref }) => `create ${ref} ${oid}\n`).join(''),
      })
    return refs.map(({ ref }) => ref)
  })
}

/**
 * The layer as it lies on disk, with the marks of deleted files that only root can read: hence tar on the host, which
 * opens each name without following links and interprets nothing of the content. Answers the sha256 of what it wrote.
 */
async function writeTar(bundle: string, target: string): Promise<string> {
  const attributes = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--one-file-system']
  // Before tar starts: what a child prints while nobody reads is thrown away when it ends.
  const file = await open(target, 'wx', 0o600)
  try {
    const child = spawnPiped('tar', [
      ...['--create', '--format=posix', '--sort=name', '--directory', bundle, ...attributes],
      ...['--exclude=home/.cache', '--exclude=home/.npm', '--', 'upper', 'home'],
    ])
    const hash = createHash('sha256')
    const [{ code, stderr }] = await Promise.all([endOf(child), copy(child.stdout, file, hash)])
    if (code !== 0)
      throw new AioError('EXEC_ERROR', `The workspace could not be archived, so nothing was removed: ${stderr.trim()}`)
    await file.sync()
    return hash.digest('hex')
  } finally {
    await file.close()
  }
}

async function endOf({ process, stdin, stderr }: PipedChild): Promise<{ code: number | null; stderr: string }> {
  stdin.end()
  let text = ''
  stderr.setEncoding('utf8').on('data', (more: string) => {
    text = (text + more).slice(-2_000)
  })
  const [code] = await once(process, 'close')
  return { code, stderr: text }
}

async function copy(from: Readable, file: FileHandle, hash: Hash): Promise<void> {
  for await (const chunk of from) {
    hash.update(chunk)
    await file.writeFile(chunk)
  }
}
