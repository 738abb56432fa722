import { type AioError, toAioError } from '@ai-orchestration/protocol'
import { Cli, type GlobalFlags } from './cli.ts'
import { loadConfig } from './config.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { Output } from './output/output.ts'
import type { Action } from './runner.ts'

/**
 * Runs a command and reports how it ended, to the person or the program that reads.
 *
 * @returns the exit code.
 */
export async function runAction(flags: GlobalFlags, action: Action, options?: { failed?: number }): Promise<number> {
  let out = new Output({ isJson: flags.json === true, canColour: false })
  try {
    const cli = new Cli(loadConfig(), flags)
    out = cli.out
    const answer = await action(cli)
    const code = typeof answer === 'number' ? answer : EXIT.done
    // A pipe that nobody closes must not keep a finished command alive.
    process.stdin.destroy()
    return code
  } catch (thrown) {
    const error = toAioError(thrown)
    out.error(withAdvice(error))
    process.stdin.destroy()
    return options?.failed ?? exitCodeOf(error.code)
  }
}

function withAdvice(error: AioError): Pick<AioError, 'code' | 'message' | 'details'> {
  const { code, message, details } = error
  if (code !== 'UNAUTHORIZED' || message.includes('aio login')) return { code, message, details }
  return { code, message: `${message} Log in again with: aio login`, details }
}
