import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { AioError } from '@ai-orchestration/protocol'
import { spawnHostGit } from './host-git.ts'

/**
 * Takes a pack from outside into a repository, with every object checked as `git fsck --strict` does. Not by `git fetch`
 * of a bundle: git 2.39 does not check what comes that way, whatever `transfer.fsckObjects` says.
 *
 * @throws AioError EXEC_ERROR with what is wrong with it; nothing of it is in the repository then.
 */
export async function indexPack(repo: string, pack: string): Promise<void> {
  if (await isEmpty(pack)) return
  const { process, stdin, stdout, stderr } = spawnHostGit(repo, ['index-pack', '--stdin', '--fix-thin', '--strict'])
  let said = ''
  stdout.resume()
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1_000)
  })
  const closed = once(process, 'close')
  const [fed] = await Promise.allSettled([pipeline(createReadStream(pack), stdin)])
  const [code] = await closed
  // It alone decides: a pack ends with its own checksum, so half of one is refused, and after a whole one it may close
  // its input before we have.
  if (code === 0) return
  if (fed.status === 'rejected' && said === '') said = String(fed.reason)
  throw new AioError(
    'EXEC_ERROR',
    `The commits were refused: ${said.trim() || `git index-pack ended with status ${code}`}`,
  )
}

/** A pack's header holds the number of its objects in its third word. */
async function isEmpty(pack: string): Promise<boolean> {
  await using file = await open(pack, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(12), 0, 12, 0)
  return bytesRead === 12 && buffer.toString('latin1', 0, 4) === 'PACK' && buffer.readUInt32BE(8) === 0
}
