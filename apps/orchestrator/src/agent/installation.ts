import { randomUUID } from 'node:crypto'
import { existsSync, readlinkSync, realpathSync } from 'node:fs'
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { cleanEnv, run } from '../process/run.ts'
import type { AgentPackage } from './agent-file.ts'

/** Reports how far a long piece of work has come. */
export type Progress = (percent: number | undefined, message: string) => void

/** An agent can be hundreds of megabytes over a slow line, in milliseconds. */
const DOWNLOAD_DEADLINE_MS = 30 * 60_000
const PROGRESS_INTERVAL_MS = 2_000
/** The version in use and the one before: running sessions may still start programs of it. */
const KEPT_VERSIONS = 2

/** The directory of installed agents: `{agent}/{version}/…` and `bin/{program}`, relative links that are switched at once. */
export class Installation {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Version of an installed agent, `undefined` when it is not installed. */
  version(agentId: string, { program }: AgentPackage): string | undefined {
    const link = join(this.#directory, 'bin', program)
    try {
      if (!existsSync(link)) return undefined
      const [, id, version] = readlinkSync(link).split('/')
      return id === agentId ? version : undefined
    } catch (error) {
      // A link that someone replaced by something else is no installation of ours.
      if (error instanceof Error && 'code' in error && error.code === 'EINVAL') return undefined
      throw error
    }
  }

  /**
   * Installs a version (a number or a tag) and makes it the one that new sessions use.
   *
   * @returns the installed version.
   * @throws AioError EXEC_ERROR when npm fails; AGENT_NOT_READY when what came does not run here or is too old.
   */
  async install(
    agentId: string,
    source: AgentPackage,
    wanted: string,
    progress: Progress,
    signal?: AbortSignal,
  ): Promise<string> {
    await mkdir(join(this.#directory, agentId), { recursive: true })
    await mkdir(join(this.#directory, 'bin'), { recursive: true })
    const temporary = await mkdtemp(join(this.#directory, '.new-'))
    try {
      await download(temporary, `${source.name}@${wanted}`, progress, signal)
      signal?.throwIfAborted()
      progress(85, 'Checking that it runs')
      const binary = await findBinary(temporary, source)
      const version = await versionOf(binary, temporary)
      if (isOlder(version, source.minimumVersion))
        throw new AioError(
          'AGENT_NOT_READY',
          `${source.name} ${version} is too old for this orchestrator, which needs ${source.minimumVersion} or newer.`,
        )
      // Read by the users of containers, whatever the umask of this process is.
      await run('chmod', ['-R', 'a+rX', temporary])
      const home = await this.#moveIntoPlace(temporary, agentId, version)
      await this.#link(source.program, join(home, relative(temporary, binary)))
      await this.#prune(agentId, version)
      progress(100, `Installed ${version}`)
      return version
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
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

  async #link(program: string, binary: string): Promise<void> {
    const bin = join(this.#directory, 'bin')
    const link = join(bin, `.${randomUUID()}`)
    await symlink(relative(bin, binary), link)
    await rename(link, join(bin, program))
  }

  async #prune(agentId: string, current: string): Promise<void> {
    const directory = join(this.#directory, agentId)
    const others = (await readdir(directory)).filter((name) => name !== current)
    const aged = await Promise.all(
      others.map(async (name) => ({ name, at: (await stat(join(directory, name))).mtimeMs })),
    )
    const superfluous = aged.toSorted((a, b) => b.at - a.at).slice(KEPT_VERSIONS - 1)
    for (const { name } of superfluous) await rm(join(directory, name), { recursive: true })
  }
}

async function download(
  directory: string,
  what: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  progress(5, `Downloading ${what}`)
  const timer = setInterval(() => {
    sizeOf(directory).then(
      (bytes) => progress(undefined, `Downloading ${what}: ${Math.round(bytes / 1e6)} MB so far`),
      // npm moves files while they are counted.
      () => undefined,
    )
  }, PROGRESS_INTERVAL_MS)
  try {
    // Without scripts: what a package would run here has no business on the host.
    const flags = [
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--no-save',
      '--no-update-notifier',
      '--loglevel=error',
    ]
    await run(await npm(), ['install', '--prefix', directory, ...flags, '--', what], {
      cwd: directory,
      timeoutMs: DOWNLOAD_DEADLINE_MS,
      ...(signal === undefined ? {} : { signal }),
    })
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
    const path = join(directory, pattern.replaceAll('{arch}', process.arch))
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

async function versionOf(binary: string, home: string): Promise<string> {
  const { stdout } = await run(binary, ['--version'], {
    cwd: home,
    env: { ...cleanEnv(), HOME: home, XDG_CONFIG_HOME: home, DISABLE_AUTOUPDATER: '1' },
    timeoutMs: 60_000,
    errorCode: 'AGENT_NOT_READY',
  })
  const version = /\d+\.\d+\.\d+[0-9A-Za-z.+-]*/.exec(stdout)?.[0]
  if (version === undefined) throw new AioError('AGENT_NOT_READY', 'The installed program does not tell its version.')
  return version
}

function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0
}

async function sizeOf(directory: string): Promise<number> {
  const { stdout } = await run('du', ['-sb', directory], { timeoutMs: PROGRESS_INTERVAL_MS })
  return Number.parseInt(stdout, 10)
}
