import { existsSync, realpathSync } from 'node:fs'
import { access, chmod, constants, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { run } from '../process/run.ts'
import type { AgentPackage } from './agent-file.ts'
import { Generations } from './generations.ts'
import { assertIntegrity, readLock } from './npm-lock.ts'

/** Reports how far a long piece of work has come. */
export type Progress = (percent: number | undefined, message: string) => void

/**
 * Runs a program of a directory that was just installed, where it can do no harm.
 *
 * @returns its exit status and the last it said.
 */
export type Trial = (directory: string, argv: readonly string[]) => Promise<{ exitCode: number | null; said: string }>

/** What {@link Installation.install} is told. */
export interface Wanted {
  agentId: string
  source: AgentPackage
  /** An exact version, or what npm takes for one, such as `latest`. */
  version: string
  /** The lock file that is shipped for `source.version`. */
  lock: string | undefined
  trial: Trial
  progress: Progress
  signal?: AbortSignal | undefined
}

/** An agent can be hundreds of megabytes over a slow line, in milliseconds. */
const DOWNLOAD_DEADLINE_MS = 30 * 60_000
const PROGRESS_INTERVAL_MS = 2_000

/**
 * The directory of installed agents: `{agent}/{version}/…`, and sets of links to their programs. What belongs to a
 * version is recorded in `.locks/{agent}/{version}.json` when it is first installed, or shipped with us, and anything
 * else is refused from then on.
 */
export class Installation {
  readonly #directory: string
  readonly #generations: Generations

  constructor(directory: string) {
    this.#directory = directory
    this.#generations = new Generations(directory)
  }

  /** Makes the directory ready. */
  async open(): Promise<void> {
    await this.#generations.open()
  }

  /** The programs that new containers are given at /opt/agents/bin; `undefined` before {@link open}. */
  get programs(): string | undefined {
    return this.#generations.current
  }

  /** Version of an installed agent, `undefined` when it is not installed. */
  version(agentId: string, { program }: AgentPackage): string | undefined {
    const found = this.#generations.versionOf(program)
    return found?.agent === agentId ? found.version : undefined
  }

  /** Removes what no container can reach any more. @param pids a process of each container that runs. */
  async prune(pids: readonly number[]): Promise<void> {
    await this.#generations.prune(pids)
  }

  /**
   * Installs a version and makes it the one that new containers use; those that run keep theirs.
   *
   * @returns the installed version.
   * @throws AioError EXEC_ERROR when npm fails or a checksum differs; AGENT_NOT_READY when what came does not run here
   * or is too old.
   */
  async install(wanted: Wanted): Promise<string> {
    const { agentId, source, progress } = wanted
    await mkdir(join(this.#directory, agentId), { recursive: true })
    const temporary = await mkdtemp(join(this.#directory, '.new-'))
    try {
      const known = await this.#knownLock(wanted)
      if (known !== undefined) await copyFile(known, join(temporary, 'package-lock.json'))
      await download(temporary, wanted)
      wanted.signal?.throwIfAborted()
      progress(80, 'Comparing checksums')
      const installed = await readLock(join(temporary, 'node_modules/.package-lock.json'))
      if (installed === undefined)
        throw new AioError('EXEC_ERROR', 'npm does not say what it has installed. Update npm.')
      assertIntegrity(
        `${source.name}@${wanted.version}`,
        installed,
        known === undefined ? undefined : await readLock(known),
      )
      const version = await versionOf(temporary, source)
      if (isOlder(version, source.minimumVersion))
        throw new AioError(
          'AGENT_NOT_READY',
          `${source.name} ${version} is too old for this orchestrator, which needs ${source.minimumVersion} or newer.`,
        )
      // A version that was asked for by a tag may be known by its number.
      const recorded = this.#recordedLock(agentId, version)
      if (known === undefined && existsSync(recorded))
        assertIntegrity(`${source.name}@${version}`, installed, await readLock(recorded))
      const binary = await findBinary(temporary, source)
      // Read by the users of containers, whatever the umask of this process is.
      await run('chmod', ['-R', 'a+rX', temporary])
      await chmod(temporary, 0o755)
      progress(85, 'Checking that it runs')
      await assertRuns(wanted, temporary, binary)
      await this.#record(temporary, recorded)
      const home = await this.#moveIntoPlace(temporary, agentId, version)
      await this.#generations.lead(source.program, relative(this.#directory, join(home, relative(temporary, binary))))
      progress(100, `Installed ${version}`)
      return version
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }

  /** The lock file that a version is held to: the shipped one of the pinned version, or what was recorded. */
  async #knownLock({ agentId, source, version, lock }: Wanted): Promise<string | undefined> {
    if (version === source.version && lock !== undefined && existsSync(lock)) return lock
    const recorded = this.#recordedLock(agentId, version)
    return existsSync(recorded) ? recorded : undefined
  }

  #recordedLock(agentId: string, version: string): string {
    return join(this.#directory, '.locks', agentId, `${encodeURIComponent(version)}.json`)
  }

  async #record(temporary: string, recorded: string): Promise<void> {
    await mkdir(dirname(recorded), { recursive: true })
    if (!existsSync(recorded)) await copyFile(join(temporary, 'package-lock.json'), recorded)
  }

  async #moveIntoPlace(temporary: string, agentId: string, version: string): Promise<string> {
    const home = join(this.#directory, agentId, version)
    // The same version again, such as to repair it: those who use it keep the old files open.
    const old = `${temporary}-old`
    if (existsSync(home)) await rename(home, old)
    await rename(temporary, home)
    await rm(old, { recursive: true, force: true })
    return home
  }
}

async function download(directory: string, { source, version, progress, signal }: Wanted): Promise<void> {
  const name = source.name
  const what = `${name}@${version}`
  progress(5, `Downloading ${what}`)
  const timer = setInterval(() => {
    sizeOf(directory).then(
      (bytes) => progress(undefined, `Downloading ${what}: ${Math.round(bytes / 1e6)} MB so far`),
      // npm moves files while they are counted.
      () => undefined,
    )
  }, PROGRESS_INTERVAL_MS)
  try {
    const manifest = { private: true, dependencies: { [name]: version } }
    await writeFile(join(directory, 'package.json'), JSON.stringify(manifest))
    // Without scripts: what a package would run here has no business on the host.
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
    const omitted = source.withoutOptional ? ['--omit=optional'] : []
    await run(await npm(), ['install', '--prefix', directory, ...flags, ...omitted], {
      cwd: directory,
      timeoutMs: DOWNLOAD_DEADLINE_MS,
      ...(signal === undefined ? {} : { signal }),
    })
  } catch (error) {
    if (!toAioError(error).message.includes('EINTEGRITY')) throw error
    throw new AioError(
      'EXEC_ERROR',
      `${what} was not installed: what came has another checksum than the recorded one. Somebody may have changed the package, or what lies between; nothing of it was run.`,
      { cause: error },
    )
  } finally {
    clearInterval(timer)
  }
}

/** npm beside the Node that runs this, else the one on the PATH. */
async function npm(): Promise<string> {
  const beside = join(dirname(process.execPath), 'npm')
  const isThere = await access(beside, constants.X_OK).then(
    () => true,
    () => false,
  )
  return isThere ? beside : 'npm'
}

async function findBinary(directory: string, source: AgentPackage): Promise<string> {
  for (const pattern of source.binaries) {
    const path = join(directory, pattern)
    if (!existsSync(path)) continue
    // A link must not lead out of what was installed.
    const real = realpathSync(path)
    if (relative(realpathSync(directory), real).startsWith('..')) continue
    await chmod(real, 0o755)
    return join(directory, relative(realpathSync(directory), real))
  }
  throw new AioError(
    'AGENT_NOT_READY',
    `${source.name} was installed, and holds no program for this machine (linux ${process.arch}).`,
  )
}

const manifestSchema = z.object({ version: z.string().regex(/^\d+\.\d+\.\d+[0-9A-Za-z.+-]*$/) })

async function versionOf(directory: string, { name }: AgentPackage): Promise<string> {
  const text = await readFile(join(directory, 'node_modules', name, 'package.json'), 'utf8')
  const parsed = manifestSchema.safeParse(JSON.parse(text))
  if (parsed.success) return parsed.data.version
  throw new AioError('AGENT_NOT_READY', `${name} was downloaded, and does not tell its version.`)
}

async function assertRuns({ source, trial }: Wanted, directory: string, binary: string): Promise<void> {
  const argv = [relative(directory, binary), ...source.check]
  const { exitCode, said } = await trial(directory, argv)
  if (exitCode === 0) return
  throw new AioError(
    'AGENT_NOT_READY',
    `${source.name} was downloaded, and does not run here: it ended with status ${exitCode}. ${said.trim().slice(-300)}`.trim(),
  )
}

function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0
}

async function sizeOf(directory: string): Promise<number> {
  const { stdout } = await run('du', ['-sb', directory], { timeoutMs: PROGRESS_INTERVAL_MS })
  return Number.parseInt(stdout, 10)
}
