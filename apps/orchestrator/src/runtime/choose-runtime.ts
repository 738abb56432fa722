import { isPatched } from '../session/runtime-version.ts'
import type { RuntimeName } from './container-runtime.ts'

/** What of a machine decides which runtime can be used. */
export interface RuntimeFacts {
  isRoot: boolean
  /** As the program prints it; `undefined` when it is not installed. */
  runcVersion: string | undefined
  bubblewrapVersion?: string | undefined
  /** True when `newuidmap` and a range of ids are there for a user who is not root. */
  hasSubordinateIds?: boolean
  /** Control groups that sessions need and that cannot be used. */
  missingGroups: readonly string[]
}

/** What an admin has set about it. */
export interface RuntimeSettings {
  /** The best that works when absent. */
  runtime?: RuntimeName | undefined
  isolation: 'full' | 'degraded'
  requirePatchedRuntime?: boolean
}

/** Which runtime sessions run in. */
export interface RuntimeChoice {
  name: RuntimeName
  /** Why nothing can be started in it; empty when all is well. */
  refusals: string[]
  /** Why it is not runc as root; `undefined` when it is. */
  why?: string
}

/** What sessions lack in each runtime, one sentence each. */
export const LACKS: Readonly<Record<RuntimeName, readonly string[]>> = {
  runc: [],
  'runc-rootless': ['a session cannot be started at all, because its workspace and its user ids need root'],
  bubblewrap: [
    'memory and processor are not limited, and a session can take all of both',
    'processes are limited by number only, and only where each session has a range of user ids of its own',
    'a session has one user id instead of a range, so nothing in it can change its user',
    'a session is paused by SIGSTOP, which programs that wait for others may notice',
  ],
}

/**
 * Chooses the runtime: runc as root wherever that works. Another one is taken only when it does not and an admin has
 * allowed less isolation, or when they name it themselves.
 */
export function chooseRuntime(facts: RuntimeFacts, settings: RuntimeSettings): RuntimeChoice {
  const problems = runcProblems(facts, settings)
  const isAllowed = settings.isolation === 'degraded'
  const first = problems[0]
  if (settings.runtime === undefined && first !== undefined && isAllowed && whyNoBubblewrap(facts) === undefined)
    return { name: 'bubblewrap', refusals: [], why: first }
  const name = settings.runtime ?? 'runc'
  switch (name) {
    case 'runc':
      return { name, refusals: [] }
    case 'runc-rootless':
      return {
        name,
        refusals: [`runc without root cannot run sessions yet: ${NEEDS_ROOT}`],
        why: 'AIO_RUNTIME says so',
      }
    case 'bubblewrap': {
      const why = whyNoBubblewrap(facts)
      const refusals = [
        ...(why === undefined ? [] : [why]),
        ...(isAllowed ? [] : ['bubblewrap isolates less than runc as root, which only AIO_ISOLATION=degraded allows']),
      ]
      return { name, refusals, why: 'AIO_RUNTIME says so' }
    }
    default:
      return name satisfies never
  }
}

/** What an admin and everyone who looks should know about it; empty for runc as root. */
export function describeChoice({ name, why }: RuntimeChoice): string[] {
  if (why === undefined) return []
  const lacks = LACKS[name]
  return [
    `Sessions run in ${name} instead of runc as root (${why}), so they are isolated less: ${lacks.join('; ')}. \`aio doctor\` says what runc needs.`,
  ]
}

/** Why runc cannot be used as root, one sentence each; empty when it can. */
export function runcProblems(
  { isRoot, runcVersion, missingGroups }: RuntimeFacts,
  { requirePatchedRuntime }: RuntimeSettings,
): string[] {
  const isUnpatched = runcVersion !== undefined && !isPatched(runcVersion)
  return [
    ...(isRoot ? [] : ['the orchestrator is not root of this machine']),
    ...(runcVersion === undefined ? ['runc is not installed'] : []),
    ...(isUnpatched && requirePatchedRuntime === true
      ? [`runc ${runcVersion} lacks fixes that AIO_REQUIRE_PATCHED_RUNTIME asks for`]
      : []),
    ...(missingGroups.length === 0
      ? []
      : [`there is no ${missingGroups.join(', ')} control group that can be written`]),
  ]
}

/** Why bubblewrap cannot be used; `undefined` when it can. */
export function whyNoBubblewrap({ isRoot, bubblewrapVersion }: RuntimeFacts): string | undefined {
  if (bubblewrapVersion === undefined) return 'bubblewrap is not installed (apt-get install -y bubblewrap brings it)'
  return isRoot ? undefined : NEEDS_ROOT
}

/** Why nothing runs without root, as tried; see docs/adr/0029. */
export const NEEDS_ROOT =
  'mounting the workspaces of sessions and giving files to their user ids needs root of the machine, not only of a user namespace. Start it with sudo; containers are not root on this machine either way'
