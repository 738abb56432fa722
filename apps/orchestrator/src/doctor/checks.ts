import { access, constants, mkdir, mkdtemp, readdir, readFile, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { toAioError } from '@ai-orchestration/protocol'
import { Agents } from '../agent/agents.ts'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import { run } from '../process/run.ts'
import {
  chooseRuntime,
  describeChoice,
  NEEDS_ROOT,
  type RuntimeChoice,
  type RuntimeFacts,
  runcProblems,
  whyNoBubblewrap,
} from '../runtime/choose-runtime.ts'
import { runtimeFacts } from '../runtime/runtime-facts.ts'
import { whyUnmappable } from '../session/mapped-mounts.ts'
import { openCgroups } from '../session/open-cgroups.ts'
import { describeRuntime, isPatched } from '../session/runtime-version.ts'

/** What a check found. `warn` works and should be looked at. */
export interface Check {
  name: string
  ok: boolean | 'warn'
  message: string
  /** What to do about it. */
  fix?: string
}

/** Nothing of it is done by itself, since it makes sessions less safe. */
const FIX =
  'Give runc what it lacks, or install bubblewrap and set AIO_ISOLATION=degraded to run sessions in it, with less isolation.'

/** Free space below which a machine is about to be in trouble, in bytes. */
const DISK_LOW_BYTES = 2 * 1024 ** 3

const APT: Record<string, string> = {
  runc: 'runc',
  tmux: 'tmux',
  git: 'git',
  tini: 'tini',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
}

/** Runs every check of this machine; each tells what it found and what to do. */
export async function checkMachine(config: OrchestratorConfig, log: Logger): Promise<Check[]> {
  const facts = await runtimeFacts(openCgroups().missing)
  const choice = chooseRuntime(facts, config)
  // What runc needs is worth knowing, and no failure where another runtime was allowed to take its place.
  const ofRunc = async (check: () => Promise<Finding>) => {
    const finding = await check()
    return finding.ok === false && choice.name !== 'runc' ? { ...finding, ok: 'warn' as const } : finding
  }
  const groups = await Promise.all([
    one('node', checkNode),
    one('runtime', async () => checkRuntime(choice, facts, config)),
    one('runc', () => ofRunc(() => checkProgram('runc', config))),
    ...['tmux', 'git', 'tini', 'nsenter'].map((name) => one(name, () => checkProgram(name, config))),
    one('root', async () => checkRoot(facts)),
    one('user namespaces', checkUserNamespaces),
    one('overlay', () => checkOverlay(config)),
    one('user ids', () => checkRanges(config)),
    one('seccomp', checkSeccomp),
    one('cgroups', () => ofRunc(checkCgroups)),
    one('rootfs', () => checkRootfs(config)),
    many('waiting containers', () => checkWaiting(config)),
    one('disk', () => checkDisk(config)),
    many('agents', () => checkAgents(config, log)),
  ])
  return groups.flat()
}

type Finding = Omit<Check, 'name'>

async function one(name: string, check: () => Promise<Finding>): Promise<Check[]> {
  return await many(name, async () => [{ name, ...(await check()) }])
}

async function many(name: string, check: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await check()
  } catch (error) {
    return [{ name, ok: false, message: toAioError(error).message }]
  }
}

/** Only said where a project has a pool. */
async function checkWaiting({ aioRun }: OrchestratorConfig): Promise<Check[]> {
  const names = await readdir(join(aioRun, 'runc')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const projects = names.flatMap((name) => /^claude-(.+)_pool-[0-9a-f]{12}$/.exec(name)?.[1] ?? [])
  const counts = [...new Set(projects)].map((id) => `${projects.filter((other) => other === id).length} for ${id}`)
  return counts.length === 0 ? [] : [{ name: 'waiting containers', ok: true, message: counts.join(', ') }]
}

async function checkNode(): Promise<Finding> {
  const [major = 0] = process.versions.node.split('.').map(Number)
  return major >= 24
    ? { ok: true, message: process.version }
    : {
        ok: false,
        message: `${process.version} is too old`,
        fix: 'Run through `npx aio` from the clone, which brings Node 24.',
      }
}

async function checkProgram(name: string, config: OrchestratorConfig): Promise<Finding> {
  const result = await run(name, [name === 'tmux' ? '-V' : '--version'], { allowFailure: true })
  if (result.exitCode === null || result.exitCode < 0)
    return { ok: false, message: 'not installed', fix: `apt-get install -y ${APT[name] ?? name}` }
  const version = /\d+\.\d+[\w.+~-]*/.exec(result.stdout + result.stderr)?.[0] ?? 'installed'
  const warning = name === 'runc' ? describeRuntime(version)[0] : undefined
  if (warning === undefined) return { ok: true, message: version }
  const isForbidden = config.requirePatchedRuntime && !isPatched(version)
  return isForbidden
    ? { ok: false, message: warning, fix: 'Install it, or set AIO_REQUIRE_PATCHED_RUNTIME=0 to run on this one.' }
    : { ok: 'warn', message: warning }
}

/** Which runtimes are there, which would be used, and what that one lacks. */
function checkRuntime(choice: RuntimeChoice, facts: RuntimeFacts, config: OrchestratorConfig): Finding {
  const problems = runcProblems(facts, config)
  const runc = problems.length === 0 ? 'can be used' : `cannot be used: ${problems.join('; ')}`
  const bubblewrap = whyNoBubblewrap(facts) ?? 'can be used'
  const rootless = facts.hasSubordinateIds === true ? 'its programs are there, but it runs no sessions' : 'not set up'
  const message = `${choice.name}; runc as root ${runc}; bubblewrap ${facts.bubblewrapVersion ?? ''}: ${bubblewrap}; runc without root: ${rootless}`
  if (choice.refusals.length > 0) return { ok: false, message: `${message}. ${choice.refusals.join('; ')}`, fix: FIX }
  if (choice.name !== 'runc') return { ok: 'warn', message: `${message}. ${describeChoice(choice).join(' ')}` }
  return problems.length === 0 ? { ok: true, message } : { ok: false, message, fix: FIX }
}

function checkRoot({ isRoot }: RuntimeFacts): Finding {
  return isRoot
    ? { ok: true, message: 'runs as root' }
    : {
        ok: false,
        message: `does not run as root of this machine: ${NEEDS_ROOT}`,
        fix: 'Start it with sudo; containers are not root on this machine either way.',
      }
}

async function checkUserNamespaces(): Promise<Finding> {
  const result = await run('unshare', ['--user', '--map-root-user', '--pid', '--fork', '--net', 'true'], {
    allowFailure: true,
  })
  return result.exitCode === 0
    ? { ok: true, message: 'can be made' }
    : {
        ok: false,
        message: `cannot be made: ${result.stderr.trim()}`,
        fix: 'Allow them: sysctl -w user.max_user_namespaces=15000 (and kernel.unprivileged_userns_clone=1 where it exists).',
      }
}

async function checkOverlay(config: OrchestratorConfig): Promise<Finding> {
  await mkdir(config.projectsDir, { recursive: true })
  const directory = await mkdtemp(join(config.projectsDir, '.doctor-'))
  try {
    const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(directory, name))
    for (const path of [lower, upper, work, merged]) if (path !== undefined) await mkdir(path)
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
    const result = await run('mount', ['-t', 'overlay', 'overlay', '-o', options, `${merged}`], { allowFailure: true })
    if (result.exitCode === 0) await run('umount', [`${merged}`])
    return result.exitCode === 0
      ? { ok: true, message: `can be mounted in ${config.projectsDir}` }
      : {
          ok: false,
          message: `cannot be mounted in ${config.projectsDir}: ${result.stderr.trim().split('\n')[0]}`,
          fix: 'Put PROJECTS_DIR on ext4, xfs or btrfs of a kernel with overlayfs; it cannot lie on another overlay.',
        }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function checkRanges(config: OrchestratorConfig): Promise<Finding> {
  await mkdir(config.projectsDir, { recursive: true })
  const why = await whyUnmappable(config.projectsDir)
  return why === undefined
    ? { ok: true, message: 'each session has a range of its own' }
    : {
        ok: 'warn',
        message: `all sessions share one range: ${why}`,
        fix: 'Use Linux 5.19 or later, with PROJECTS_DIR on ext4, xfs or btrfs, and install perl-base.',
      }
}

async function checkSeccomp(): Promise<Finding> {
  const actions = await readFile('/proc/sys/kernel/seccomp/actions_avail', 'utf8').catch(() => '')
  return actions.includes('errno')
    ? { ok: true, message: 'the kernel filters system calls' }
    : { ok: false, message: 'this kernel has no seccomp filter', fix: 'Use a kernel with CONFIG_SECCOMP_FILTER.' }
}

async function checkCgroups(): Promise<Finding> {
  const isV2 = (await statfs('/sys/fs/cgroup')).type === 0x63677270
  const names = isV2
    ? (await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8')).split(/\s+/)
    : (await readFile('/proc/cgroups', 'utf8'))
        .split('\n')
        .flatMap((line) => (line.endsWith('\t1') ? [line.split('\t')[0] ?? ''] : []))
  const missing = ['memory', 'pids', 'cpu'].filter((name) => !names.includes(name))
  if (missing.length > 0)
    return {
      ok: false,
      message: `no ${missing.join(', ')} controller`,
      fix: 'Enable it on the kernel command line, for example cgroup_enable=memory.',
    }
  const probe = isV2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory'
  const isWritable = await access(probe, constants.W_OK).then(
    () => true,
    () => false,
  )
  return isWritable
    ? { ok: true, message: `version ${isV2 ? 2 : 1} with memory, pids and cpu` }
    : {
        ok: false,
        message: `${probe} cannot be written`,
        fix: 'Run as root, outside a container or in a privileged one.',
      }
}

async function checkRootfs(config: OrchestratorConfig): Promise<Finding> {
  const isThere = await access(config.rootfsDir).then(
    () => true,
    () => false,
  )
  return isThere
    ? { ok: true, message: config.rootfsDir }
    : { ok: true, message: "skeleton over this machine's /usr, read-only; `aio rootfs build` makes one of its own" }
}

async function checkDisk(config: OrchestratorConfig): Promise<Finding> {
  const { bavail, bsize } = await statfs(config.projectsDir)
  const free = bavail * bsize
  const message = `${(free / 1024 ** 3).toFixed(1)} GB free in ${config.projectsDir}`
  return free > DISK_LOW_BYTES
    ? { ok: true, message }
    : { ok: 'warn', message, fix: 'Make room, or move PROJECTS_DIR.' }
}

async function checkAgents(config: OrchestratorConfig, log: Logger): Promise<Check[]> {
  const agents = await Agents.open({ config, log })
  return agents.list().map((agent) => ({
    name: `agent ${agent.id}`,
    ok: agent.ready ? true : 'warn',
    message: agent.ready ? (agent.version ?? 'ready') : (agent.reason ?? 'not ready'),
  }))
}
