import { chmod, cp, mkdir, readdir, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AGENT_UID } from '../session/uid-range.ts'
import { shiftOwnership } from './shift-ownership.ts'

/** Parts of /etc that programs of /usr need and that say nothing about who works on this machine. */
const COPIED = [
  'alternatives',
  'ca-certificates.conf',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'protocols',
  'services',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
]

/** Directories something is mounted on, and the places programs expect to find. */
const DIRECTORIES = [
  'dev',
  'etc',
  'etc/ssl',
  'home',
  'home/agent',
  'opt',
  'opt/agents',
  'proc',
  'project',
  'root',
  'run',
  'sys',
  'tmp',
  'usr',
  'var',
  'var/log',
]

/** Lines of /etc/passwd and /etc/group for the only user that sessions have. */
export const AGENT_LINES = {
  passwd: `agent:x:${AGENT_UID}:${AGENT_UID}:agent:/home/agent:/bin/bash`,
  group: `agent:x:${AGENT_UID}:`,
}

/** What every container finds in /etc, whatever its root filesystem is. */
export const SESSION_FILES: Record<string, string> = {
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost ip6-localhost\n',
  'etc/hostname': 'session\n',
  'etc/resolv.conf': '# There is no network here but loopback.\n',
  'etc/gitconfig': '[safe]\n\tdirectory = *\n',
}

const FILES: Record<string, string> = {
  ...SESSION_FILES,
  'etc/passwd': [
    'root:x:0:0:root:/root:/usr/sbin/nologin',
    AGENT_LINES.passwd,
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    '',
  ].join('\n'),
  'etc/group': ['root:x:0:', 'tty:x:5:', AGENT_LINES.group, 'nogroup:x:65534:', ''].join('\n'),
  'etc/nsswitch.conf':
    'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  'etc/shells': '/bin/sh\n/bin/bash\n',
  'etc/profile': 'umask 022\n[ -z "$BASH_VERSION" ] || . /etc/bash.bashrc\n',
  'etc/bash.bashrc': '[ -z "$PS1" ] || PS1=\'\\u@\\h:\\w\\$ \'\n',
}

const LINKS: Record<string, string> = {
  'etc/mtab': '../proc/self/mounts',
  'etc/os-release': '../usr/lib/os-release',
  'var/run': '../run',
  'var/tmp': '../tmp',
}

/** What a skeleton made now would hold that changes over time; equal texts mean that an older one may be kept. */
export async function skeletonStamp(): Promise<string> {
  const changed = await Promise.all(
    COPIED.map(async (name) => (await statOrUndefined(join('/etc', name)))?.mtimeMs ?? 'none'),
  )
  return JSON.stringify([3, FILES, LINKS, DIRECTORIES, changed, await topLinks()])
}

/**
 * Makes a root filesystem without any program in it: `/usr` of this machine is to be mounted into it. Nothing of the
 * host gets in but what is listed here.
 */
export async function buildSkeleton(target: string): Promise<void> {
  await mkdir(target, { mode: 0o755 })
  for (const directory of DIRECTORIES) await mkdir(join(target, directory), { mode: 0o755 })
  // runc 1.1 takes the mode of a tmpfs from what it is mounted on.
  await chmod(join(target, 'tmp'), 0o1777)
  for (const name of COPIED) {
    const source = join('/etc', name)
    if ((await statOrUndefined(source)) === undefined) continue
    await cp(source, join(target, 'etc', name), { recursive: true, verbatimSymlinks: true })
  }
  for (const [path, content] of Object.entries(FILES)) await writeFile(join(target, path), content, { mode: 0o644 })
  for (const [path, to] of Object.entries({ ...LINKS, ...(await topLinks()) })) await symlink(to, join(target, path))
  await shiftOwnership(target)
}

/** `/bin`, `/lib` and so on as this machine has them; they are links into /usr. */
async function topLinks(): Promise<Record<string, string>> {
  const links: Record<string, string> = {}
  for (const entry of await readdir('/', { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const to = await readlink(join('/', entry.name))
    if (/^\/?usr\//.test(to)) links[entry.name] = to
  }
  return links
}

async function statOrUndefined(path: string) {
  return await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
