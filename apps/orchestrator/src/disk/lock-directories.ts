import { mkdir, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { AioError } from '@ai-orchestration/protocol'

/**
 * Takes the directories that only one orchestrator may use at a time. Each lock is a socket in the kernel's abstract
 * namespace, named by the directory's inode: the kernel lets it go with the process, however that ends, so that nothing
 * stale can stand in the way of a restart.
 *
 * @returns the way to give them back.
 * @throws AioError CONFLICT that names the directory another orchestrator holds.
 */
export async function lockDirectories(directories: readonly string[]): Promise<AsyncDisposable> {
  const held: Server[] = []
  const release = async () => {
    await Promise.all(held.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
  }
  for (const directory of new Set(directories)) {
    await mkdir(directory, { recursive: true })
    const { dev, ino } = await stat(directory)
    const server = createServer((socket) => socket.destroy())
    try {
      await listen(server, `\0aio-orchestrator-${dev}-${ino}`)
    } catch (error) {
      await release()
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error
      throw new AioError(
        'CONFLICT',
        `Another orchestrator uses ${directory}. Stop it, or give this one an AIO_HOME, AIO_RUN and PROJECTS_DIR of its own.`,
        { cause: error },
      )
    }
    held.push(server)
  }
  return { [Symbol.asyncDispose]: release }
}

async function listen(server: Server, name: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(name, () => {
      server.unref()
      resolve()
    })
  })
}
