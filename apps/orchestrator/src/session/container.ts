import { readFileSync } from 'node:fs'
import { CPU_PERIOD_US, type Limits } from './cgroups.ts'
import { AGENT_UID, UID_COUNT } from './uid-range.ts'

/** A directory of the host that a container sees. */
export interface Bind {
  source: string
  destination: string
  isWritable: boolean
}

/** What differs from one container to another; everything else is the same for all of them. */
export interface ContainerSpec {
  hostname: string
  argv: readonly string[]
  cwd: string
  env: Readonly<Record<string, string>>
  hasTerminal: boolean
  rootfs: string
  /** True when the root filesystem is the container's own to write to. */
  isRootWritable?: boolean
  binds: readonly Bind[]
  limits: Limits
  /** First id of its range on the host. */
  uidBase: number
  /** False where the kernel does not account for swap. */
  canLimitSwap: boolean
  cgroup: string
  seccomp: Record<string, unknown>
}

/** What every process inside is given; an agent's own variables come on top. */
export const BASE_ENVIRONMENT = {
  PATH: '/opt/agents/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin',
  HOME: '/home/agent',
  USER: 'agent',
  LOGNAME: 'agent',
  SHELL: '/bin/bash',
  LANG: 'C.UTF-8',
  // What tmux's `default-terminal` says: raw output goes to viewers that are xterm.js.
  TERM: 'xterm-256color',
  COLORTERM: 'truecolor',
}

/** Of the kernel's interfaces, those that say something about the host. */
export const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/cgroup',
]
/** Those that a container may read. */
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

const PRIVATE = ['nosuid', 'nodev']
const KERNEL = ['nosuid', 'noexec', 'nodev']

/** Describes a container to runc (OCI runtime specification 1.0.2): isolated in every way there is, without capabilities. */
export function containerConfig(spec: ContainerSpec): object {
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: spec.rootfs, readonly: spec.isRootWritable !== true },
    process: {
      terminal: spec.hasTerminal,
      user: { uid: AGENT_UID, gid: AGENT_UID },
      // tini reaps: without it the zombies of a fork storm fill the pid limit for good, and no exec works any more.
      args: ['/usr/bin/tini', '--', ...spec.argv],
      env: Object.entries({ ...BASE_ENVIRONMENT, ...spec.env }).map(([name, value]) => `${name}=${value}`),
      cwd: spec.cwd,
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      noNewPrivileges: true,
      // When the machine runs out of memory, the kernel picks sessions before anything of the host's.
      oomScoreAdj: 500,
      rlimits: rlimits(),
    },
    mounts: mounts(spec),
    linux: {
      namespaces: ['user', 'pid', 'ipc', 'uts', 'mount', 'cgroup', 'network'].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: spec.uidBase, size: UID_COUNT }],
      gidMappings: [{ containerID: 0, hostID: spec.uidBase, size: UID_COUNT }],
      cgroupsPath: spec.cgroup,
      resources: {
        devices: [{ allow: false, access: 'rwm' }],
        memory: { limit: spec.limits.memoryBytes, ...(spec.canLimitSwap ? { swap: spec.limits.memoryBytes } : {}) },
        pids: { limit: spec.limits.pids },
        cpu: { quota: Math.round(spec.limits.cpus * CPU_PERIOD_US), period: CPU_PERIOD_US, shares: 1_024 },
      },
      seccomp: spec.seccomp,
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  }
}

function mounts(spec: ContainerSpec): object[] {
  const tmpfs = (destination: string, options: readonly string[]) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options,
  })
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: KERNEL },
    // Devices are made by runc in here; those of a root filesystem are never seen.
    tmpfs('/dev', ['nosuid', 'strictatime', 'mode=755', 'size=64k']),
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    tmpfs('/dev/shm', [...KERNEL, 'mode=1777', 'size=64m']),
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: KERNEL },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...KERNEL, 'ro'] },
    tmpfs('/tmp', [...PRIVATE, 'mode=1777', 'size=512m']),
    // The names of other sessions must not show, so each container has mountpoints of its own in here.
    tmpfs('/project', [...KERNEL, 'mode=755', 'size=64k']),
    ...spec.binds.map(({ source, destination, isWritable }) => ({
      destination,
      type: 'bind',
      source,
      options: ['rbind', isWritable ? 'rw' : 'ro', ...PRIVATE],
    })),
  ]
}

function rlimits(): object[] {
  const files = Math.min(65_536, ownHardLimit('Max open files'))
  return [
    { type: 'RLIMIT_NOFILE', soft: files, hard: files },
    { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
  ]
}

/** One may lower one's limits and not raise them: a higher one makes runc fail with "error setting rlimit". */
function ownHardLimit(name: string): number {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(name))
  const hard = line?.slice(name.length).trim().split(/\s+/)[1]
  return hard === undefined || hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
}
