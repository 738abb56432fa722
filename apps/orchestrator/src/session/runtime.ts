import { dirname, join } from 'node:path'
import { AioError, parseSessionId } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import { RootFilesystem } from '../rootfs/rootfs.ts'
import { Bubblewrap, bubblewrapContainers } from '../runtime/bubblewrap.ts'
import { chooseRuntime, NEEDS_ROOT, type RuntimeChoice, type RuntimeFacts } from '../runtime/choose-runtime.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import { runtimeFacts } from '../runtime/runtime-facts.ts'
import { Archives } from './archives.ts'
import { BaseCache } from './base.ts'
import type { Cgroups } from './cgroups.ts'
import { HELPER_PREFIX, HelperContainers } from './helper.ts'
import { whyUnmappable } from './mapped-mounts.ts'
import { openCgroups } from './open-cgroups.ts'
import { type SessionPaths, sessionPaths, shortHash } from './paths.ts'
import { machineFacts, refusals } from './preflight.ts'
import { Runc } from './runc.ts'
import { loadSeccompProfile } from './seccomp.ts'
import { SecretFiles } from './secret-files.ts'
import type { SessionServices } from './services.ts'
import { SessionStore } from './session-store.ts'
import { SetupLayers } from './setup.ts'

/** Who commits in a session whose project does not say. */
export interface GitIdentity {
  name: string
  email: string
}

/** What the parts of the session runtime share. */
export interface SessionRuntime extends Omit<SessionServices, 'cgroups' | 'facts'> {
  now: () => Date
  store: SessionStore
  /** What runs containers. */
  containers: ContainerRuntime
  /** Which runtime that is, and why. */
  choice: RuntimeChoice
  cgroups: Cgroups
  rootfs: RootFilesystem
  seccomp: Record<string, unknown>
  helpers: HelperContainers
  bases: BaseCache
  archives: Archives
  setups: SetupLayers
  secretFiles: SecretFiles
  /** As `runc --version` prints it; `undefined` when it is not installed. */
  runcVersion: string | undefined
  /** Why nothing may be started on this machine; empty when all is well. */
  refusals: readonly string[]
  /** True when each session can have a range of user ids of its own. */
  hasOwnRanges: boolean
  /** First user id of each container that waits, by the id it waits under. */
  waitingRanges: Map<string, number>
  identity: GitIdentity
  paths(sessionId: string): SessionPaths
  repoOf(sessionId: string): string
  /**
   * Name of a container's control group; flat, at the root, so that no stop of a service takes it along. A container that
   * waited for its session keeps the one it waited in.
   */
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
  const machineGroups = services.cgroups ?? openCgroups()
  const found = await runtimeFacts(machineGroups.missing)
  if (!found.isRoot)
    throw new AioError('ISOLATION_UNAVAILABLE', `This orchestrator cannot run sessions: ${NEEDS_ROOT}.`)
  const rootfs = await RootFilesystem.open(aioRun, rootfsDir)
  const facts = services.facts ?? machineFacts(found.runcVersion, machineGroups)
  const choice = chooseRuntime(found, services.config)
  const seccomp = loadSeccompProfile()
  const machine = shortHash(aioRun)
  const waitingRanges = new Map<string, number>()
  const store = new SessionStore((record) => paths(record.session.id).record, now)
  const cgroupOf = (containerId: string): string =>
    store.get(containerId.replace(/^claude-/, ''))?.group ?? `/aio-${machine}-${containerId}`
  const containers =
    choice.name === 'bubblewrap'
      ? await Bubblewrap.open(aioRun, seccomp, cgroupOf(''))
      : new Runc(aioRun, machineGroups)
  await assertNothingElsewhere(choice, { aioRun, found })
  const cgroups = containers.groups
  const why = await whyUnmappable(dirname(services.projects.paths('probe').dir))
  if (why !== undefined)
    services.log.warn(
      { why },
      'all sessions share one range of user ids, because owners of mounts cannot be mapped here',
    )
  const paths = (sessionId: string): SessionPaths => {
    const project = services.projects.paths(projectOf(sessionId))
    return sessionPaths(project, aioRun, sessionId, store.get(sessionId)?.uidBase ?? waitingRanges.get(sessionId))
  }
  const helpers = new HelperContainers({ aioRun, containers, rootfs, seccomp, cgroups, cgroupOf })
  return {
    ...services,
    now,
    store,
    hasOwnRanges: why === undefined,
    refusals: choice.name === 'runc' ? refusals(facts, services.config) : choice.refusals,
    containers,
    choice,
    runcVersion: found.runcVersion,
    cgroups,
    rootfs,
    seccomp,
    helpers,
    bases: new BaseCache(helpers),
    archives: new Archives({ dir: join(aioHome, 'archives'), keptDays: archiveDays, now }),
    setups: new SetupLayers(helpers),
    waitingRanges,
    secretFiles: new SecretFiles(aioRun),
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

/** A session that runs in another runtime than the chosen one could be neither seen nor ended by it. */
async function assertNothingElsewhere(
  { name }: RuntimeChoice,
  { aioRun, found }: { aioRun: string; found: RuntimeFacts },
): Promise<void> {
  const others = [
    ...(name === 'runc' || found.runcVersion === undefined
      ? []
      : [{ other: 'runc', list: await new Runc(aioRun).list() }]),
    ...(name === 'bubblewrap' ? [] : [{ other: 'bubblewrap', list: await bubblewrapContainers(aioRun) }]),
  ]
  for (const { other, list } of others) {
    const running = list.filter(({ id, pid }) => pid > 0 && !id.startsWith(HELPER_PREFIX)).length
    if (running > 0)
      throw new AioError(
        'CONFLICT',
        `${running} of the sessions on this machine still run in ${other}, and ${name} would be used from now on. Start with AIO_RUNTIME=${other}, end them, and start again without it.`,
      )
  }
}
