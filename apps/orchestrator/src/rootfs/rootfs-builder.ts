import { lstat, mkdir, readdir, readlink, realpath, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { AioError, type RootfsInfo } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { run } from '../process/run.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import type { HelperContainers } from '../session/helper.ts'
import { rootfsInUse, rootfsOf } from '../session/root-layer.ts'
import type { SessionServices } from '../session/services.ts'
import type { SessionStore } from '../session/session-store.ts'
import { bootstrapDebian } from './bootstrap.ts'
import { readFacts, writeStamp } from './facts.ts'
import { furnishRootfs } from './furnish.ts'
import type { RootFilesystem, Rootfs } from './rootfs.ts'
import { shiftOwnership } from './shift-ownership.ts'

/** A build takes 260 MB and its downloads 60 more; twice that is wanted, in bytes. */
const SPACE_BYTES = 640 * 1024 ** 2

/** What every root filesystem must be able to do, and says in a container before sessions get it. */
const TRIAL = 'git --version && rg --version && [ "$(id -un)" = agent ]'

interface BuilderServices extends Pick<SessionServices, 'bootstrap' | 'log' | 'projects'> {
  config: { rootfsDir: string }
  rootfs: RootFilesystem
  helpers: HelperContainers
  containers: ContainerRuntime
  store: SessionStore
  now: () => Date
  paths: (sessionId: string) => { bundle: string }
}

/**
 * Builds root filesystems: each in a directory of its own under `{ROOTFS_DIR}.versions`, with ROOTFS_DIR a link to the
 * one in use, which is switched at once. One that a session lies on stays until the session is removed.
 */
export class RootfsBuilder {
  readonly #services: BuilderServices
  readonly #link: string
  readonly #versions: string
  #isBuilding = false
  #pruning: Promise<void> | undefined

  constructor(services: BuilderServices) {
    this.#services = services
    this.#link = services.config.rootfsDir
    this.#versions = `${this.#link}.versions`
  }

  /** What new containers start from. */
  async info(): Promise<RootfsInfo> {
    const { path, source } = this.#services.rootfs.current
    return {
      kind: source === undefined ? 'skeleton' : 'built',
      path: source ?? path,
      // The packages of the skeleton are those of this machine.
      ...(await readFacts(source ?? '/')),
      inUseBy: await this.#sessionsOn(path, source),
    }
  }

  /**
   * Builds a root filesystem and makes new containers start from it. Until then, and whenever a step fails or the
   * command is cancelled, everything stays as it was.
   *
   * @throws AioError CONFLICT while another build is under way, or when ROOTFS_DIR holds what was not built here; LIMIT
   * without space on disk; EXEC_ERROR when the build fails; ISOLATION_UNAVAILABLE when its result cannot be used.
   */
  async build(steps: Steps): Promise<RootfsInfo> {
    if (this.#isBuilding)
      throw new AioError(
        'CONFLICT',
        'A root filesystem is being built on this machine already. `aio commands list` shows it; wait for it, or cancel it.',
      )
    this.#isBuilding = true
    try {
      await this.#build(steps)
    } finally {
      this.#isBuilding = false
    }
    await this.prune()
    return await this.info()
  }

  /** Removes versions that no container uses any more, and what an interrupted build left. Never fails. */
  async prune(): Promise<void> {
    this.#pruning ??= this.#prune()
      .catch((error: unknown) => this.#services.log.warn({ err: error }, 'old root filesystems could not be removed'))
      .finally(() => {
        this.#pruning = undefined
      })
    await this.#pruning
  }

  async #build(steps: Steps): Promise<void> {
    const { rootfs, now, bootstrap = bootstrapDebian } = this.#services
    const former = await this.#formerTarget()
    await mkdir(this.#versions, { recursive: true, mode: 0o711 })
    await this.#assertSpace()
    const builtAt = now().toISOString()
    const version = join(await realpath(this.#versions), builtAt.replace(/[-:.]/g, ''))
    let isInUse = false
    await steps.run(
      'Packages',
      async () =>
        await bootstrap(version, {
          signal: steps.signal,
          progress: (percent, message) => steps.progress(percent, message),
          packages: `${this.#link}.packages`,
        }),
      async () => {
        if (!isInUse) await removeTree(version)
      },
    )
    await steps.run('Contents', async () => {
      await furnishRootfs(version)
      const bytes = await shiftOwnership(version)
      await writeStamp(version, { builtAt, bytes })
      await shiftOwnership(version)
    })
    await steps.run(
      'Trial',
      async () => await this.#try(await rootfs.mount(version)),
      async () => {
        if (!isInUse) await rootfs.unmount(version)
      },
    )
    await steps.run(
      'Switch',
      async () => {
        // A power loss right after the switch must not leave empty files.
        await run('sync', ['--file-system', '--', version])
        await this.#pointTo(relative(dirname(this.#link), version))
        await rootfs.refresh()
        isInUse = true
      },
      async () => {
        if (!isInUse) await this.#pointTo(former)
      },
    )
  }

  /** Where the link leads now. @throws AioError CONFLICT when it is no link of ours. */
  async #formerTarget(): Promise<string | undefined> {
    const found = await unlessMissing(lstat(this.#link))
    if (found === undefined) return undefined
    const target = found.isSymbolicLink() ? await readlink(this.#link) : undefined
    if (target !== undefined && basename(dirname(target)) === basename(this.#versions)) return target
    throw new AioError(
      'CONFLICT',
      `${this.#link} was not made by \`aio rootfs build\`, so it is not replaced. Move it away, or set ROOTFS_DIR to another place.`,
    )
  }

  async #pointTo(target: string | undefined): Promise<void> {
    if (target === undefined) return await rm(this.#link, { force: true })
    const fresh = `${this.#link}.new`
    await rm(fresh, { force: true })
    await symlink(target, fresh)
    await rename(fresh, this.#link)
  }

  async #assertSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#versions)
    if (bavail * bsize >= SPACE_BYTES) return
    throw new AioError(
      'LIMIT',
      `A root filesystem needs ${SPACE_BYTES / 1024 ** 2} MB of free space in ${dirname(this.#link)}. Make room, or set ROOTFS_DIR to another place.`,
    )
  }

  async #try(rootfs: Rootfs): Promise<void> {
    const { exitCode, stderr } = await this.#services.helpers.text({
      argv: ['/bin/sh', '-c', TRIAL],
      cwd: '/',
      binds: [],
      rootfs,
      maxBytes: 64 * 1024,
    })
    if (exitCode !== 0)
      throw new AioError(
        'ISOLATION_UNAVAILABLE',
        `The new root filesystem does not work in a container: ${stderr.trim().slice(-500)}`,
      )
  }

  async #prune(): Promise<void> {
    const { rootfs, containers, store, helpers, projects } = this.#services
    if (this.#isBuilding) return
    const versions = ((await unlessMissing(readdir(this.#versions))) ?? []).map((name) => join(this.#versions, name))
    const current = await identityOf(this.#link)
    const former = await Promise.all(versions.map(async (path) => ({ path, id: await identityOf(path) })))
    const unused = former.filter(({ id }) => id !== current)
    if (unused.length === 0) return
    // One that is about to start may have been told of any of them; the next occasion is soon enough.
    if (!helpers.isIdle || store.list().some(({ session }) => session.state === 'starting')) return
    const pids = (await containers.list()).map(({ pid }) => pid).filter((pid) => pid > 0)
    const held = [...(await rootfsInUse(projects)), rootfs.current.path]
    const inUse = new Set(await Promise.all([...pids.map(rootOf), ...held.map(identityOf)]))
    for (const { path, id } of unused) {
      if (this.#isBuilding) return
      if (inUse.has(id)) continue
      await rootfs.unmount(await realpath(path))
      await removeTree(path)
    }
  }

  async #sessionsOn(path: string, source: string | undefined): Promise<string[]> {
    const { store, paths } = this.#services
    const wanted = await identityOf(path)
    const running = store.list().filter(({ session }) => session.state === 'running')
    const isOn = await Promise.all(
      running.map(async ({ session, process }) => {
        const own = rootfsOf(paths(session.id).bundle)
        if (own !== undefined) return own === source
        return process !== undefined && (await rootOf(process.pid)) === wanted
      }),
    )
    return running.filter((_, index) => isOn[index]).map(({ session }) => session.id)
  }
}

/** The root directory of a process, as {@link identityOf} tells directories apart. */
async function rootOf(pid: number): Promise<string | undefined> {
  return await identityOf(`/proc/${pid}/root/`)
}

/** Which directory it is, by whatever path it is reached; `undefined` when it is gone. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await unlessMissing(stat(path))
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

async function removeTree(path: string): Promise<void> {
  await run('rm', ['-rf', '--one-file-system', '--', path])
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  return await reading.catch((error: NodeJS.ErrnoException) => {
    // ESRCH: a process that has ended.
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined
    throw error
  })
}
