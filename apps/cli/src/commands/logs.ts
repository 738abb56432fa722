import { plainText, replayText } from '../attach/screen-filter.ts'
import type { Cli } from '../cli.ts'
import { findSessionId } from '../session-id.ts'

/** `aio sessions logs <session> [--follow]`: what its terminal shows, as text. */
export async function showLogs(cli: Cli, session: string, options: { follow?: boolean }): Promise<void> {
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  await using terminal = await cli.within(aio.terminal(sessionId))
  const isColoured = !cli.out.isJson && cli.config.canColour && process.stdout.isTTY === true
  for await (const item of terminal) {
    if (cli.out.isJson) cli.out.result(item, () => '')
    else if (item.type === 'replay') process.stdout.write(`${replayText(item.data, isColoured)}\n`)
    else if (item.type === 'data') process.stdout.write(plainText(item.data, isColoured))
    if (options.follow !== true && item.type === 'replay') break
  }
  if (isColoured) process.stdout.write('\u001b[0m')
}
