import { once } from 'node:events'
import { StringDecoder } from 'node:string_decoder'
import type { Exec } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { EXIT } from '../exit-code.ts'
import { findSessionId } from '../session-id.ts'

/**
 * `aio sessions exec <session> -- CMD…`: runs a program inside, its two outputs kept apart.
 *
 * @returns the program's own exit status.
 */
export async function execInSession(
  cli: Cli,
  session: string,
  argv: string[],
  options: { cwd?: string; interactive?: boolean },
): Promise<number> {
  const stdin = options.interactive === true || process.stdin.isTTY !== true
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  await using exec = aio.exec(sessionId, argv, { cwd: options.cwd, stdin })
  const interrupt = () => process.exit(EXIT.interrupted)
  process.once('SIGINT', interrupt)
  const stopInput = stdin ? sendInput(exec) : () => undefined
  try {
    return await cli.within(cli.out.isJson ? printAsJson(cli, exec) : printApart(exec))
  } finally {
    stopInput()
    process.off('SIGINT', interrupt)
  }
}

async function printApart(exec: Exec): Promise<number> {
  await Promise.all([copy(exec.stdout, process.stdout), copy(exec.stderr, process.stderr)])
  return exec.exit
}

async function copy(from: AsyncIterable<Uint8Array>, to: NodeJS.WriteStream): Promise<void> {
  for await (const bytes of from) if (!to.write(bytes)) await once(to, 'drain')
}

async function printAsJson(cli: Cli, exec: Exec): Promise<number> {
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
  for await (const { type, data } of exec) {
    const text = decoders[type].write(Buffer.from(data))
    if (text !== '') cli.out.result({ type, data: text }, () => '')
  }
  const code = await exec.exit
  cli.out.result({ type: 'exit', code }, () => '')
  return code
}

/** Sends our stdin to the program until it ends; returns what stops it. */
function sendInput(exec: Exec): () => void {
  const { stdin } = process
  const send = async (bytes: Buffer) => {
    stdin.pause()
    try {
      await exec.write(bytes)
      stdin.resume()
    } catch {
      // The program has closed its input or has ended; its exit status tells the rest.
      stop()
    }
  }
  const data = (bytes: Buffer) => void send(bytes)
  const end = () => void exec.end().catch(stop)
  const stop = () => {
    stdin.off('data', data).off('end', end).off('error', end).pause()
  }
  stdin.on('data', data).on('end', end).on('error', end).resume()
  return stop
}
