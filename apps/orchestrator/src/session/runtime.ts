import { join } from 'node:path'
import { parseSessionId } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import { RootFilesystem } from '../rootfs/rootfs.ts'
import { Archives } from './archives.ts'
import { BaseCache } from './base.ts'
import { Cgroups } from './cgroups.ts'
import { HelperContainers } from './helper.ts'
import { type SessionPaths, sessionPaths, shortHash } from './paths.ts'
import { Runc } from './runc.ts'
import { loadSeccompProfile } from './seccomp.ts'
import type { SessionServices } from './services.ts'
import { SessionStore } from './session-store.ts'

/** Who commits in a session whose project does not say. */
export interface GitIdentity {
  name: string
  email: string
}

/** What the parts of the session runtime share. */
export interface SessionRuntime extends SessionServices {
  now: () => Date
  store: SessionStore
  runc: Runc
  cgroups: Cgroups
  rootfs: RootFilesystem
  seccomp: Record<string, unknown>
  helpers: HelperContainers
  bases: BaseCache
  archives: Archives
  identity: GitIdentity
  paths(sessionId: string): SessionPaths
  repoOf(sessionId: string): string
  /** Name of a container's control group; flat, at the root, so that no stop of a service takes it along. */
  cgroupOf(containerId: string): string
}

/**
 * Prepares this machine for sessions.
 *
 * @throws AioError ISOLATION_UNAVAILABLE when something they need is missing, with what to do.
 */
export async function openRuntime(services: SessionServices): Promise<SessionRuntime> {
  const { aioHome, aioRun, rootfsDir, archiveDays } = services.config
  const now = services.now ?? (() => new Date())
  const rootfs = await RootFilesystem.open(aioRun, rootfsDir)
  const runc = new Runc(aioRun)
  const cgroups = new Cgroups()
  const seccomp = loadSeccompProfile()
  const machine = shortHash(aioRun)
  const cgroupOf = (containerId: string) => `/aio-${machine}-${containerId}`
  const paths = (sessionId: string) => sessionPaths(services.projects.paths(projectOf(sessionId)), aioRun, sessionId)
  const helpers = new HelperContainers({ aioRun, runc, rootfs, seccomp, cgroups, cgroupOf })
  return {
    ...services,
    now,
    store: new SessionStore((record) => paths(record.session.id).record, now),
    runc,
    cgroups,
    rootfs,
    seccomp,
    helpers,
    bases: new BaseCache(helpers),
    archives: new Archives({ dir: join(aioHome, 'archives'), keptDays: archiveDays, now }),
    identity: await machineIdentity(),
    paths,
    repoOf: (sessionId) => services.projects.paths(projectOf(sessionId)).repo,
    cgroupOf,
  }
}

/** The project of a session. */
export function projectOf(sessionId: string): string {
  const parts = parseSessionId(sessionId)
  if (parts === undefined) throw new TypeError(`${JSON.stringify(sessionId)} is not a session id.`)
  return parts.projectId
}

/** The identity of the person who runs the orchestrator, from their own git configuration. */
async function machineIdentity(): Promise<GitIdentity> {
  const { stdout } = await run('git', ['config', '--global', '--get-regexp', '^user\\.(name|email)$'], {
    allowFailure: true,
  })
  const value = (key: string) => new RegExp(`^user\\.${key} (.+)$`, 'm').exec(stdout)?.[1]
  return { name: value('name') ?? 'aio', email: value('email') ?? 'aio@localhost' }
}
