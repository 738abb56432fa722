import { AioError, type Command } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { inert, table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { showProgress } from '../progress.ts'
import { readStdin } from '../stdin.ts'

/** `aio run <command> [--input JSON|-]`: any command by name, custom ones included. */
export async function runCommand(
  cli: Cli,
  command: string,
  options: { input?: string; id?: string; ttl?: number },
): Promise<void> {
  const input = parseInput(options.input === '-' ? await readStdin() : options.input)
  await using aio = await cli.connect()
  const done = await cli.command(async (made) => {
    const commandId = options.id ?? made
    await using _progress = showProgress(aio, commandId)
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.commands.run.mutate({
      commandId,
      command,
      input,
      ...(orchestratorId === undefined ? {} : { orchestratorId }),
      ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
    })
  })
  if (done.state !== 'succeeded') throw failure(done)
  cli.out.result(done, ({ output }) => JSON.stringify(output, undefined, 2) ?? 'Done.')
}

/** `aio commands get <id>` */
export async function getCommand(cli: Cli, commandId: string): Promise<void> {
  const command = await cli.withClient((aio) => aio.commands.get.query({ commandId }))
  cli.out.result(command, (one) => {
    const first = `${one.command} ${one.state} (asked ${ago(one.createdAt)} ago, changed ${ago(one.updatedAt)} ago)`
    const error = one.error === undefined ? '' : `\n${one.error.code}: ${inert(one.error.message)}`
    const output = one.output === undefined ? '' : `\n${JSON.stringify(one.output, undefined, 2)}`
    return first + error + output
  })
}

/** `aio commands list` */
export async function listCommands(cli: Cli): Promise<void> {
  const all = await cli.withClient((aio) => aio.commands.list.query({ limit: 50 }))
  cli.out.result(all, (commands) =>
    commands.length === 0
      ? 'No command has been asked for yet.'
      : table(
          ['command', 'state', 'about', 'age', 'id'],
          commands.map((one) => [
            one.command,
            one.state,
            one.sessionId ?? one.projectId ?? '-',
            ago(one.createdAt),
            one.commandId,
          ]),
        ),
  )
}

/** `aio commands cancel <id>` */
export async function cancelCommand(cli: Cli, commandId: string): Promise<void> {
  const answer = await cli.withClient((aio) => aio.commands.cancel.mutate({ commandId }))
  cli.out.result(answer, ({ outcome }) => {
    switch (outcome) {
      case 'prevented':
        return 'Cancelled before it started.'
      case 'stopping':
        return 'It is being stopped; what it did is undone.'
      case 'too-late':
        return 'It had already ended.'
      default:
        return outcome satisfies never
    }
  })
}

function parseInput(text: string | undefined): unknown {
  if (text === undefined || text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw new AioError(
      'INVALID_INPUT',
      `--input is not JSON: ${thrown instanceof Error ? thrown.message : thrown}. Give an object such as '{"projectId":"demo"}', or - for stdin.`,
    )
  }
}

function failure(done: Command): AioError {
  if (done.error !== undefined) return AioError.fromWire(done.error)
  const code = done.state === 'expired' ? 'EXPIRED' : done.state === 'cancelled' ? 'CANCELLED' : 'EXEC_ERROR'
  return new AioError(code, `${done.command} is ${done.state}. Look at it with: aio commands get ${done.commandId}`)
}
