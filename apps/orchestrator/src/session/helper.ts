import { randomBytes } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { AioError } from '@ai-orchestration/protocol'
import { spawnPiped } from '../process/spawn-piped.ts'
import type { RootFilesystem, Rootfs } from '../rootfs/rootfs.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import { type Cgroups, DEFAULT_LIMITS } from './cgroups.ts'
import { type Bind, containerConfig } from './container.ts'
import { mountMapped } from './mapped-mounts.ts'
import { unmount } from './mounts.ts'
import { MAPPINGS } from './paths.ts'
import { rangeOf, UID_BASE } from './uid-range.ts'

/** Containers of this name belong to nobody once the orchestrator that started them is gone. */
export const HELPER_PREFIX = 'helper-'

/** Longest a helper may take unless it says otherwise, in milliseconds. */
const DEADLINE_MS = 60_000
/** Most that is kept of what a helper complains about, in characters. */
const STDERR_MAX_CHARS = 16_384

/** One short run of a program inside a container of its own. */
export interface HelperRun {
  /** The program with its arguments; no shell unless it is one. */
  argv: readonly string[]
  cwd: string
  binds: readonly Bind[]
  env?: Readonly<Record<string, string>>
  deadlineMs?: number
  /** The current one when absent. */
  rootfs?: Rootfs
  /** Receives stdout as it comes; the helper waits for it. What it throws ends the helper. */
  onOutput: (stdout: Readable) => Promise<void>
}

/** How a helper ended. */
export interface HelperResult {
  exitCode: number | null
  stderr: string
}

interface HelperServices {
  aioRun: string
  containers: ContainerRuntime
  rootfs: RootFilesystem
  seccomp: Record<string, unknown>
  cgroups: Cgroups
  cgroupOf: (containerId: string) => string
}

/**
 * Short-lived containers in which everything happens that reads what an agent wrote: the host itself never runs git, and
 * resolves no path, in an agent-writable tree (I-5). A helper is isolated like a session and has its user, but its own
 * processes and limits, so that it also works when the session is stopped, paused or out of processes.
 */
export class HelperContainers {
  readonly #services: HelperServices
  #running = 0

  constructor(services: HelperServices) {
    this.#services = services
  }

  /** True while no helper runs or is about to. */
  get isIdle(): boolean {
    return this.#running === 0
  }

  /** Runs a program in a helper and answers its whole output, at most `maxBytes`. @throws AioError LIMIT, TIMEOUT. */
  async text(helper: Omit<HelperRun, 'onOutput'> & { maxBytes: number }): Promise<HelperResult & { stdout: Buffer }> {
    const chunks: Buffer[] = []
    let size = 0
    const result = await this.run({
      ...helper,
      onOutput: async (stdout) => {
        for await (const chunk of stdout) {
          size += chunk.length
          if (size > helper.maxBytes)
            throw new AioError('LIMIT', 'The workspace holds more entries than can be listed.')
          chunks.push(chunk)
        }
      },
    })
    return { ...result, stdout: Buffer.concat(chunks) }
  }

  /**
   * Runs a program in a helper.
   *
   * @throws AioError TIMEOUT when it takes too long; EXEC_ERROR when it cannot be started; what `onOutput` throws.
   */
  async run(helper: HelperRun): Promise<HelperResult> {
    const { aioRun, containers } = this.#services
    const id = `${HELPER_PREFIX}${randomBytes(6).toString('hex')}`
    const bundle = join(aioRun, 's', id)
    const mapping = join(aioRun, MAPPINGS, id)
    const mapped = mappedTargets(mapping, helper.binds)
    this.#running += 1
    try {
      await mkdir(bundle, { recursive: true, mode: 0o711 })
      await mapOwners(mapped, ownersOf(helper.binds))
      const binds = helper.binds.map((bind) => ({ ...bind, source: mapped.get(bind.source) ?? bind.source }))
      const config = this.#config(id, helper, binds)
      await writeFile(join(bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 })
      return await this.#watch(id, await containers.runArgv(id, bundle), helper)
    } finally {
      this.#running -= 1
      if (mapped.size > 0) await unmapOwners(mapping, mapped)
      await rm(bundle, { recursive: true, force: true })
    }
  }

  async #watch(id: string, [file = 'runc', ...args]: string[], helper: HelperRun): Promise<HelperResult> {
    const child = spawnPiped(file, args)
    child.stdin.end()
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-STDERR_MAX_CHARS)
    })
    const exited = new Promise<number | null>((resolve, reject) => {
      child.process.once('error', reject)
      child.process.once('close', (code) => resolve(code))
    })
    const deadlineMs = helper.deadlineMs ?? DEADLINE_MS
    const deadline = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => deadline.reject(new AioError('TIMEOUT', `Reading the workspace took longer than ${deadlineMs} ms.`)),
      deadlineMs,
    )
    try {
      const [exitCode] = await Promise.race([Promise.all([exited, helper.onOutput(child.stdout)]), deadline.promise])
      return { exitCode, stderr }
    } catch (error) {
      await this.#services.containers.delete(id)
      child.process.kill('SIGKILL')
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #config(id: string, helper: HelperRun, binds: readonly Bind[]): object {
    const { seccomp, cgroups, cgroupOf } = this.#services
    const rootfs = helper.rootfs ?? this.#services.rootfs.current
    return containerConfig({
      hostname: 'helper',
      argv: helper.argv,
      cwd: helper.cwd,
      env: { ...helper.env, GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C.UTF-8' },
      hasTerminal: false,
      rootfs: rootfs.path,
      binds: [...rootfs.binds, ...binds],
      limits: DEFAULT_LIMITS,
      uidBase: ownersOf(helper.binds),
      canLimitSwap: cgroups.canLimitSwap,
      cgroup: cgroupOf(id),
      seccomp,
    })
  }
}

/** The range of whoever owns what is mounted: a session's workspace is seen as belonging to the session's own. */
function ownersOf(binds: readonly Bind[]): number {
  return Math.max(UID_BASE, ...binds.map(({ source }) => rangeOf(lstatSync(source).uid) ?? UID_BASE))
}

/** What a session owns on disk, such as a home beside its workspace, has to be seen as belonging to the same range. */
function mappedTargets(mapping: string, binds: readonly Bind[]): Map<string, string> {
  if (ownersOf(binds) === UID_BASE) return new Map()
  const isCommon = (source: string) => {
    const found = lstatSync(source)
    // A single file is only ever shown, and readable to all.
    return found.isDirectory() && rangeOf(found.uid) === UID_BASE
  }
  const common = binds.filter(({ source }) => isCommon(source))
  return new Map(common.map(({ source }, index) => [source, join(mapping, String(index))]))
}

async function mapOwners(mapped: ReadonlyMap<string, string>, uidBase: number): Promise<void> {
  const mounts = [...mapped].map(([source, target]) => ({ type: 'bind' as const, source, target }))
  if (mounts.length > 0) await mountMapped(uidBase, mounts)
}

/** Only empty directories are removed: should something still be mounted there, nothing of it may go. */
async function unmapOwners(mapping: string, mapped: ReadonlyMap<string, string>): Promise<void> {
  for (const target of mapped.values()) await unmount(target)
  for (const path of [...mapped.values(), mapping]) await rmdir(path).catch(ignoreAbsent)
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
