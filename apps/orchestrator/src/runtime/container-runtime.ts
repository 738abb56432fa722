import type { Cgroups } from '../session/cgroups.ts'
import type { HostProcess } from '../session/host-process.ts'

/** What can run containers, best first. */
export const RUNTIME_NAMES = ['runc', 'runc-rootless', 'bubblewrap'] as const
/** See {@link RUNTIME_NAMES}. */
export type RuntimeName = (typeof RUNTIME_NAMES)[number]

/** A container as its runtime knows it; `pid` is 0 when it does not run. */
export interface Container {
  id: string
  pid: number
  status: string
}

/** How a container is run. */
export interface RunOptions {
  pidFile?: string
  /** What tells why it ended stays after its end; {@link ContainerRuntime.delete} takes it away. */
  isKept?: boolean
  /** So many descriptors from 3 on are handed into the container. */
  preservedFds?: number
}

/** What sessions need of a container runtime. All of them read a bundle of the OCI runtime specification. */
export interface ContainerRuntime {
  /** Makes a bundle ready and answers the arguments that run it in the foreground. */
  runArgv(id: string, bundle: string, options?: RunOptions): Promise<string[]>
  /** Arguments that run a program inside a running container, as its user and with its environment. */
  execArgv(id: string, argv: readonly string[], cwd: string): string[]
  /**
   * The first process of a container that is being started, once it has executed the bundle's program; its `startTime` is
   * empty when it has already ended.
   */
  started(id: string, pidFile: string): HostProcess | undefined
  /** Gives a container that runs another id; absent where containers cannot wait for a session. */
  rename?(from: string, to: string): Promise<void>
  /** All containers, running or ended. */
  list(): Promise<Container[]>
  /** Ends a container and takes away all that is left of it; does nothing when there is none. */
  delete(id: string): Promise<void>
  /** The control groups of its containers, or what stands in for them. */
  readonly groups: Cgroups
  /** What `/proc/PID/uid_map` of a container says whose ids begin at `uidBase` on the host. */
  idMap(uidBase: number): string
  /** Where it keeps what it really set up for a container; `undefined` when it keeps no such record. */
  stateFile(id: string): string | undefined
}
