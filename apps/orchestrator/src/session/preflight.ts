import { AioError } from '@ai-orchestration/protocol'
import type { Cgroups } from './cgroups.ts'
import { readOrUndefined } from './host-process.ts'
import { describeRuntime, isPatched } from './runtime-version.ts'

/** What a machine can isolate with, found out before anything is started. */
export interface MachineFacts {
  /** As `runc --version` prints it. */
  runcVersion: string | undefined
  hasSeccomp: boolean
  hasUserNamespaces: boolean
  cgroups: Pick<Cgroups, 'missing'>
}

/** Looks at this machine. */
export function machineFacts(runcVersion: string | undefined, cgroups: Pick<Cgroups, 'missing'>): MachineFacts {
  const maximum = readOrUndefined('/proc/sys/user/max_user_namespaces')
  return {
    runcVersion,
    hasSeccomp: (readOrUndefined('/proc/sys/kernel/seccomp/actions_avail') ?? '').includes('errno'),
    hasUserNamespaces: maximum !== undefined && Number(maximum) > 0,
    cgroups,
  }
}

/**
 * Why nothing may be started on this machine, one sentence each; empty when all is well (I-7, I-8). A runtime that
 * isolates less than it should is allowed only where an admin has said so in writing, and one without the fixes of
 * November 2025 only where an admin has not forbidden it.
 */
export function refusals(
  facts: MachineFacts,
  settings: { isolation: 'full' | 'degraded'; requirePatchedRuntime?: boolean },
): string[] {
  const { runcVersion, hasSeccomp, hasUserNamespaces, cgroups } = facts
  const runtime = describeRuntime(runcVersion)
  const isUnpatched = runcVersion === undefined || !isPatched(runcVersion)
  const missing = [
    ...(hasSeccomp ? [] : ['this kernel cannot filter system calls (seccomp)']),
    ...(hasUserNamespaces ? [] : ['this kernel makes no user namespaces (user.max_user_namespaces is 0 or missing)']),
    ...cgroups.missing.map((name) => `there is no ${name} control group that can be written`),
  ]
  return [
    ...(runcVersion === undefined ? runtime : []),
    ...(settings.requirePatchedRuntime === true && isUnpatched && runcVersion !== undefined
      ? [`${runtime.join(' ')} AIO_REQUIRE_PATCHED_RUNTIME forbids to run sessions on it`]
      : []),
    ...(settings.isolation === 'full' ? missing : []),
  ]
}

/** @throws AioError ISOLATION_UNAVAILABLE that says why nothing may be started here. */
export function refuseUnsafe(reasons: readonly string[]): void {
  if (reasons.length === 0) return
  throw new AioError(
    'ISOLATION_UNAVAILABLE',
    `No session can be started on this machine: ${reasons.join('; ')}. \`aio doctor\` says what to do.`,
    { details: { missing: [...reasons] } },
  )
}
