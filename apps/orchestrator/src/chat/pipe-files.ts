import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../process/run.ts'
import type { PipeFiles } from './agent-pipe.ts'

/**
 * Opens both files, for the runtime to pass them into the container as descriptors 3 and 4. The FIFO is opened for
 * reading and writing, so that it has no end for as long as the agent lives.
 */
const OPEN_FILES = 'exec 3<>"$1" 4>>"$2"; shift 2; exec "$@"'
/** Makes the two descriptors an agent's own, inside the container; what it prints on stderr goes to the terminal. */
const TAKE_FILES = 'exec "$@" <&3 >&4 3<&- 4>&-'

/** Where the ends of a session's pipe to its agent are. */
export function pipePaths(bundle: string): PipeFiles & { directory: string; store: string } {
  const directory = join(bundle, 'chat')
  return {
    directory,
    input: join(directory, 'input'),
    output: join(directory, 'output'),
    store: join(directory, 'chat.db'),
  }
}

/** Makes both ends anew for the next start of an agent. */
export async function makePipe(files: ReturnType<typeof pipePaths>): Promise<void> {
  await mkdir(files.directory, { recursive: true, mode: 0o700 })
  await rm(files.input, { force: true })
  await run('mkfifo', ['--mode=600', '--', files.input])
  // A new file, not an emptied one: an agent that is still ending keeps the old one.
  await rm(files.output, { force: true })
  await writeFile(files.output, '', { mode: 0o600, flag: 'wx' })
  await chmod(files.output, 0o600)
}

/** Host side: arguments that run `argv`, the runtime with `--preserve-fds 2`, with both ends open. */
export function withPipe(files: PipeFiles, argv: readonly string[]): string[] {
  return ['sh', '-c', OPEN_FILES, 'sh', files.input, files.output, ...argv]
}

/** Inside the container: arguments that run the agent on the two ends. */
export function onPipe(argv: readonly string[]): string[] {
  return ['sh', '-c', TAKE_FILES, 'sh', ...argv]
}
