import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { type RunResult, run } from '../process/run.ts'
import type { Container, ContainerRuntime, RunOptions } from '../runtime/container-runtime.ts'
import type { Cgroups } from './cgroups.ts'
import { type HostProcess, readOrUndefined, startTimeOf } from './host-process.ts'
import { openCgroups } from './open-cgroups.ts'
import { UID_COUNT } from './uid-range.ts'

const listSchema = z
  .array(z.object({ id: z.string(), pid: z.number(), status: z.string() }))
  .nullable()
  .transform((list) => list ?? [])

/** runc as root, which isolates in every way there is, with its state under AIO_RUN. */
export class Runc implements ContainerRuntime {
  readonly groups: Cgroups
  readonly #root: string

  /** @param groups the control groups of this machine. */
  constructor(aioRun: string, groups: Cgroups = openCgroups()) {
    this.#root = join(aioRun, 'runc')
    this.groups = groups
  }

  /** With `isKept` the control group stays, so that one can still see whether it ran out of memory. */
  async runArgv(id: string, bundle: string, options: RunOptions = {}): Promise<string[]> {
    return [
      ...['runc', '--root', this.#root, 'run', '--bundle', bundle],
      ...(options.isKept === true ? ['--keep'] : []),
      ...(options.preservedFds ? ['--preserve-fds', String(options.preservedFds)] : []),
      ...(options.pidFile === undefined ? [] : ['--pid-file', options.pidFile]),
      id,
    ]
  }

  execArgv(id: string, argv: readonly string[], cwd: string): string[] {
    return ['runc', '--root', this.#root, 'exec', '--cwd', cwd, id, ...argv]
  }

  started(_id: string, pidFile: string): HostProcess | undefined {
    const pid = Number(readOrUndefined(pidFile) ?? 0)
    if (pid <= 0) return undefined
    const startTime = startTimeOf(pid)
    if (startTime === undefined) return { pid, startTime: '' }
    // Until it has executed our program it is still runc's own.
    return readOrUndefined(`/proc/${pid}/comm`)?.startsWith('runc:') === true ? undefined : { pid, startTime }
  }

  idMap(uidBase: number): string {
    return `0 ${uidBase} ${UID_COUNT}`
  }

  stateFile(id: string): string {
    return join(this.#root, id, 'state.json')
  }

  /** It knows a container by the directory of its state alone. */
  async rename(from: string, to: string): Promise<void> {
    await rename(join(this.#root, from), join(this.#root, to))
  }

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

  async delete(id: string): Promise<void> {
    await run('runc', ['--root', this.#root, 'delete', '--force', id], { timeoutMs: 30_000 })
  }
}
