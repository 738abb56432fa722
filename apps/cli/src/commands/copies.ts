import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { AioError, type ExportFormat } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { inert, table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { showProgress } from '../progress.ts'
import { findSessionId } from '../session-id.ts'
import { createdText } from './sessions.ts'

/** `aio sessions fork <session> <name> …` */
export async function forkSession(
  cli: Cli,
  session: string,
  name: string,
  { prompt, title }: { prompt?: string; title?: string },
): Promise<void> {
  await using aio = await cli.connect()
  const made = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    const sessionId = await findSessionId(aio, session)
    return await aio.sessions.fork.mutate({
      ...{ sessionId, name, commandId },
      ...(prompt === undefined ? {} : { prompt }),
      ...(title === undefined ? {} : { title }),
    })
  })
  cli.out.result(made, createdText)
}

/** `aio sessions archives [project]` */
export async function listArchives(cli: Cli, projectId: string | undefined): Promise<void> {
  const all = await cli.withClient(async (aio) => {
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.sessions.archives.query({
      ...(projectId === undefined ? {} : { projectId }),
      ...(orchestratorId === undefined ? {} : { orchestratorId }),
    })
  })
  cli.out.result(all, (archives) =>
    archives.length === 0
      ? 'There is no archive. One is made when a session with unsaved work is removed.'
      : table(
          ['archive', 'age', 'size', 'kept until', 'branch', 'title'],
          archives.map(({ id, createdAt, bytes, keptUntil, branch, title }) => [
            id,
            ago(createdAt),
            `${(bytes / 1024 ** 2).toFixed(1)} MiB`,
            keptUntil.slice(0, 10),
            branch,
            inert(title ?? ''),
          ]),
        ),
  )
}

/** `aio sessions restore <archive> [--name N] [--stopped]` */
export async function restoreSession(
  cli: Cli,
  archiveId: string,
  { name, stopped }: { name?: string; stopped?: boolean },
): Promise<void> {
  await using aio = await cli.connect()
  const made = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    return await aio.sessions.restore.mutate({
      ...{ archiveId, commandId },
      ...(name === undefined ? {} : { name }),
      ...(stopped === undefined ? {} : { isStopped: stopped }),
    })
  })
  cli.out.result(made, createdText)
}

/** `aio sessions export <session> [--format F] [-o FILE]`; a file that could not be finished is not left behind. */
export async function exportSession(
  cli: Cli,
  session: string,
  { format, output }: { format: ExportFormat; output?: string },
): Promise<void> {
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  const content = aio.export(sessionId, format)
  if (output === undefined) {
    await pipeline(content, process.stdout, { end: false })
    return
  }
  let isOurs = false
  try {
    const file = createWriteStream(output, { flags: 'wx', mode: 0o600 }).once('open', () => {
      isOurs = true
    })
    await pipeline(content, file)
    const { bytesWritten } = file
    cli.out.result(
      { sessionId, format, file: output, bytes: bytesWritten },
      () => `Wrote ${bytesWritten} bytes to ${output}.`,
    )
  } catch (error) {
    if (isOurs) await rm(output, { force: true })
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      throw new AioError('CONFLICT', `${output} exists. Name a file that does not.`)
    throw error
  }
}
