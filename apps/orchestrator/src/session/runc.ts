import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { type RunResult, run } from '../process/run.ts'

const listSchema = z
  .array(z.object({ id: z.string(), pid: z.number(), status: z.string() }))
  .nullable()
  .transform((list) => list ?? [])

/** A container as runc knows it; `pid` is 0 when it does not run. */
export type Container = z.output<typeof listSchema>[number]

/** The container runtime, with its state under AIO_RUN. */
export class Runc {
  readonly #root: string

  constructor(aioRun: string) {
    this.#root = join(aioRun, 'runc')
  }

  /**
   * Arguments that run a bundle in the foreground. With `isKept` the container's control group stays after its end, so
   * that one can still see whether it ran out of memory; {@link delete} takes it away. `preservedFds` descriptors from 3 on
   * are handed into the container.
   */
  runArgv(
    id: string,
    bundle: string,
    options: { pidFile?: string; isKept?: boolean; preservedFds?: number } = {},
  ): string[] {
    return [
      ...['runc', '--root', this.#root, 'run', '--bundle', bundle],
      ...(options.isKept === true ? ['--keep'] : []),
      ...(options.preservedFds ? ['--preserve-fds', String(options.preservedFds)] : []),
      ...(options.pidFile === undefined ? [] : ['--pid-file', options.pidFile]),
      id,
    ]
  }

  /** Arguments that run a program inside a running container, as its user and with its environment. */
  execArgv(id: string, argv: readonly string[], cwd: string): string[] {
    return ['runc', '--root', this.#root, 'exec', '--cwd', cwd, id, ...argv]
  }

  /** Where the runtime keeps what it set up for a container. */
  stateFile(id: string): string {
    return join(this.#root, id, 'state.json')
  }

  /** All containers, running or ended. */
  async list(): Promise<Container[]> {
    const { stdout } = await this.#list()
    const parsed = listSchema.safeParse(JSON.parse(stdout))
    if (!parsed.success) throw new AioError('EXEC_ERROR', 'The answer of `runc list` could not be understood.')
    return parsed.data
  }

  /** It fails when a container that it has seen is removed before it looks at it, such as a helper that has just ended. */
  async #list(attempts = 5): Promise<RunResult> {
    try {
      return await run('runc', ['--root', this.#root, 'list', '--format', 'json'], { timeoutMs: 20_000 })
    } catch (error) {
      if (attempts === 1 || !(error instanceof AioError) || !error.message.includes('no such file')) throw error
      return await this.#list(attempts - 1)
    }
  }

  /** Ends a container and takes away all that is left of it; does nothing when there is none. */
  async delete(id: string): Promise<void> {
    await run('runc', ['--root', this.#root, 'delete', '--force', id], { timeoutMs: 30_000 })
  }
}
