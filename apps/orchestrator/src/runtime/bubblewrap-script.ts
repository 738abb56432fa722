import { existsSync, statSync } from 'node:fs'
import type { Bundle, BundleMount } from './bundle.ts'

/** Descriptors of the script's own; those before them are handed into the container. */
const STATUS_FD = 8
const FILTER_FD = 9
/** Where the outer sandbox shows the directories that are mounted in the inner one. */
const STAGE = '/stage'

/**
 * The bash script that runs a bundle in bubblewrap.
 *
 * There are two, one in the other. The outer one is root's and gathers what is to be mounted, which lies where no other
 * user may walk; nothing else of the machine is in it but `/usr`. The inner one is run by the session's own user, makes
 * every namespace and drops every privilege.
 *
 * @param files `status` is where bubblewrap says which process it started and how that ended; `filter` is a compiled
 * system call filter; `preservedFds` descriptors from 3 on are handed into the container.
 */
export function bubblewrapScript(
  bundle: Bundle,
  files: { status: string; filter?: string; preservedFds: number },
): string {
  const { uid: base, process: spec } = bundle
  const [uid, gid] = [base + spec.user.uid, base + spec.user.gid].map(String)
  const sources = [bundle.root.path, ...bundle.mounts.filter(({ type }) => type === 'bind').map(({ source }) => source)]
  const staged = new Map(sources.map((source, index) => [source, `${STAGE}/${index}`]))
  const argv = [
    ...['prlimit', ...bundle.rlimits.map(({ option, value }) => `--${option}=${value}`), '--'],
    ...['bwrap', ...outer(staged), '--'],
    ...['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--no-new-privs'],
    // Set after the change of user, which would undo it.
    ...['--pdeathsig', 'KILL', '--'],
    ...['bwrap', ...inner(bundle, staged, files.filter !== undefined), '--', ...spec.args],
  ]
  return [
    // Whatever the orchestrator left open is not for the session; 255 is bash's own.
    `for fd in /proc/self/fd/*; do n=\${fd##*/}; [ $n -gt ${2 + files.preservedFds} ] && [ $n != 255 ] && eval "exec $n>&-"; done`,
    `exec ${STATUS_FD}>${quote(files.status)}${files.filter === undefined ? '' : ` ${FILTER_FD}<${quote(files.filter)}`}`,
    `echo ${spec.oomScoreAdj} >/proc/self/oom_score_adj`,
    // The pane's own terminal, which a program inside may want to open by its name.
    ...(spec.terminal ? [`[ -t 0 ] && chown ${uid} "$(tty)"`] : []),
    `exec ${argv.map(quote).join(' ')}`,
    '',
  ].join('\n')
}

function outer(staged: ReadonlyMap<string, string>): string[] {
  const links = ['bin', 'lib', 'lib64', 'sbin'].filter((name) => existsSync(`/${name}`))
  return [
    '--die-with-parent',
    ...['--ro-bind', '/usr', '/usr'],
    ...links.flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`]),
    ...['--ro-bind', '/etc/ld.so.cache', '/etc/ld.so.cache'],
    ...['--dev-bind', '/dev', '/dev', '--bind', '/proc', '/proc'],
    // The inner one makes its root here.
    ...['--perms', '1777', '--dir', '/tmp'],
    ...['--perms', '0755', '--dir', STAGE],
    ...[...staged].flatMap(([source, place]) => ['--bind', source, place]),
  ]
}

function inner(bundle: Bundle, staged: ReadonlyMap<string, string>, hasFilter: boolean): string[] {
  const { process: spec, root } = bundle
  const placeOf = (source: string) => staged.get(source) ?? source
  return [
    ...['--die-with-parent', '--unshare-all', '--as-pid-1', '--cap-drop', 'ALL'],
    ...['--uid', `${spec.user.uid}`, '--gid', `${spec.user.gid}`, '--hostname', bundle.hostname],
    ...['--json-status-fd', `${STATUS_FD}`, ...(hasFilter ? ['--seccomp', `${FILTER_FD}`] : [])],
    ...[root.readonly ? '--ro-bind' : '--bind', placeOf(root.path), '/'],
    ...bundle.mounts.flatMap((mount) => mounted({ ...mount, source: placeOf(mount.source) })),
    // What belongs to nobody else is the session's here, and would be memory without a limit.
    ...['--remount-ro', '/dev', '--remount-ro', '/project'],
    ...bundle.maskedPaths.flatMap(masked),
    ...['--remount-ro', '/sys'],
    ...bundle.readonlyPaths.filter((path) => existsSync(path)).flatMap((path) => ['--ro-bind', path, path]),
    '--clearenv',
    ...spec.env.flatMap((entry) => {
      const at = entry.indexOf('=')
      return ['--setenv', entry.slice(0, at), entry.slice(at + 1)]
    }),
    ...['--chdir', spec.cwd],
  ]
}

function mounted({ destination, type, source, options }: BundleMount): string[] {
  switch (type) {
    case 'bind':
      return [options.includes('rw') ? '--bind' : '--ro-bind', source, destination]
    case 'proc':
      return ['--proc', destination]
    case 'mqueue':
      return ['--mqueue', destination]
    // bubblewrap makes /dev with all that belongs in it.
    case 'devpts':
      return []
    // The kernel's tree could only be the host's own; an empty one takes its place.
    case 'sysfs':
      return ['--tmpfs', destination]
    case 'tmpfs':
      return destination === '/dev' ? ['--dev', destination] : [...tmpfsOptions(options), '--tmpfs', destination]
    default:
      throw new TypeError(`bubblewrap mounts no ${type}.`)
  }
}

function tmpfsOptions(options: readonly string[]): string[] {
  const of = (name: string) => options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1)
  const mode = of('mode')
  const [, number, unit] = /^(\d+)([km])$/.exec(of('size') ?? '') ?? []
  const bytes = Number(number) * (unit === 'm' ? 1024 ** 2 : 1024)
  return [
    ...(mode === undefined ? [] : ['--perms', mode.padStart(4, '0')]),
    ...(number === undefined ? [] : ['--size', String(bytes)]),
  ]
}

/** Covers a path of the kernel's with nothing, as runc does. Below /sys there is nothing, so a place is made. */
function masked(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return []
  if (found.isDirectory()) return ['--tmpfs', path, '--remount-ro', path]
  return ['--ro-bind', '/dev/null', path]
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
