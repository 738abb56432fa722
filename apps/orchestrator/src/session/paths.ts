import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { containerIdOf } from '@ai-orchestration/protocol'
import type { ProjectPaths } from '../project/projects.ts'
import { UID_BASE } from './uid-range.ts'

/** Directory under AIO_RUN in which mapped mounts are made; none of them stays. */
export const MAPPINGS = 'm'

/** Where the parts of one session lie on the host. */
export interface SessionPaths {
  /** The registered worktree; the workspace's overlay is mounted on it. */
  worktree: string
  bundle: string
  /** What the session has written; agent-writable, so the host opens nothing in it. */
  upper: string
  /** Scratch of the overlay's own. */
  work: string
  home: string
  /** What the session has written to its root filesystem, with the overlay's scratch beside it; absent on the skeleton. */
  rootLayer: string
  terminalLog: string
  /** What went through its door. */
  egressLog: string
  record: string
  /** Under AIO_RUN: vanishes at a reboot, and its path is short enough for sockets. */
  run: string
  pidFile: string
  /** Where its home is mounted with its owner mapped, while its container starts. */
  mappedHome: string
  /** Scratch of mapped mounts. */
  mapping: string
  /** First id of its range on the host; what is on disk belongs to the common range. */
  uidBase: number
}

/** Where the parts of a session lie, whether it exists or not. */
export function sessionPaths(
  project: ProjectPaths,
  aioRun: string,
  sessionId: string,
  uidBase: number = UID_BASE,
): SessionPaths {
  const bundle = join(project.bundles, sessionId)
  const hash = shortHash(containerIdOf(sessionId))
  const run = join(aioRun, 's', hash)
  // Not below `run`, which is removed with all that is in it.
  const mapping = join(aioRun, MAPPINGS, hash)
  return {
    worktree: join(project.dir, sessionId),
    bundle,
    upper: join(bundle, 'upper'),
    work: join(bundle, 'work'),
    home: join(bundle, 'home'),
    rootLayer: join(bundle, 'root'),
    terminalLog: join(bundle, 'terminal.log'),
    egressLog: join(bundle, 'egress.log'),
    record: join(bundle, 'session.json'),
    run,
    pidFile: join(run, 'pid'),
    mappedHome: join(mapping, 'home'),
    mapping,
    uidBase,
  }
}

/** Twelve characters for a name: sockets below it stay under the kernel's limit of 107 characters for their path. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** Where a session's workspace is inside its container. */
export function workspaceOf(sessionId: string): string {
  return `/project/${sessionId}`
}
