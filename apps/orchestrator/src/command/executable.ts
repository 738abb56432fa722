import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { cleanEnv, run } from '../process/run.ts'
import type { CommandContext } from './define-command.ts'

/** Longest answer of an executable, in bytes: one message to the relay has to hold it. */
const OUTPUT_MAX_BYTES = 512 * 1024

const progressLine = z.object({ progress: z.number().min(0).max(100).optional(), message: z.string().optional() })

/**
 * Runs an executable as a command: input fields become positional arguments, one JSON value is expected on stdout,
 * lines `{"progress": 0-100, "message": "…"}` on stderr become progress and other lines go to the log.
 *
 * @throws AioError EXEC_ERROR when it fails, INVALID_OUTPUT when stdout is not one JSON value, INVALID_INPUT when a
 * field would be taken for an option.
 */
export async function runExecutable(
  argv: readonly string[],
  input: unknown,
  directory: string,
  context: CommandContext,
): Promise<unknown> {
  const [file, ...args] = fillIn(argv, input)
  if (file === undefined) throw new AioError('INTERNAL', 'The command has no program.')
  const { stdout } = await run(file, args, {
    cwd: directory,
    env: cleanEnv({
      AIO_COMMAND_ID: context.commandId,
      AIO_HOME: context.config.aioHome,
      AIO_RUN: context.config.aioRun,
      PROJECTS_DIR: context.config.projectsDir,
    }),
    signal: context.steps.signal,
    onStderrLine: (line) => reportLine(line, context),
  })
  if (Buffer.byteLength(stdout) > OUTPUT_MAX_BYTES)
    throw new AioError('INVALID_OUTPUT', `${file} wrote more than ${OUTPUT_MAX_BYTES} bytes to stdout.`)
  try {
    return JSON.parse(stdout)
  } catch (error) {
    throw new AioError('INVALID_OUTPUT', `${file} did not write one JSON value to stdout.`, { cause: error })
  }
}

/** Puts input fields in the place of `{field}` arguments; what is not given becomes an empty argument. */
export function fillIn(argv: readonly string[], input: unknown): string[] {
  const fields = new Map(Object.entries(z.record(z.string(), z.unknown()).parse(input)))
  let optionsEnded = false
  return argv.map((argument) => {
    if (argument === '--') optionsEnded = true
    const name = /^\{([A-Za-z][A-Za-z0-9_]*)\}$/.exec(argument)?.[1]
    if (name === undefined) return argument
    const value = fields.get(name)
    const text = value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
    if (text.startsWith('-') && !optionsEnded && typeof value === 'string')
      throw new AioError(
        'INVALID_INPUT',
        `${name}: a value cannot begin with a dash here, where it would be taken for an option.`,
      )
    return text
  })
}

function reportLine(line: string, context: CommandContext): void {
  const parsed = parseJson(line)
  const progress = progressLine.safeParse(parsed)
  if (parsed !== undefined && progress.success)
    context.steps.progress(progress.data.progress, (progress.data.message ?? '').slice(0, 2_000))
  else context.log.info(line)
}

function parseJson(line: string): unknown {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line)
  } catch {
    return undefined // a line of the log that happens to begin with a brace
  }
}
