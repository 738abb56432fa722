import { appendFile, chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { redactUrls, run } from '../process/run.ts'
import { AGENT_UID } from '../session/uid-range.ts'
import { AGENT_LINES, SESSION_FILES } from './skeleton.ts'

/** Belong to the user of sessions. */
const OWN_DIRECTORIES = ['usr/local', 'srv']

/**
 * Makes a root filesystem for sessions out of a distribution that was just installed: their user, what is mounted on,
 * and nothing that tells of this machine. Only for a tree that no session has ever run in.
 */
export async function furnishRootfs(root: string): Promise<void> {
  await removeTraces(root)
  for (const directory of ['project', 'home/agent', 'opt/agents'])
    await mkdir(join(root, directory), { recursive: true, mode: 0o755 })
  // runc 1.1 takes the mode of a tmpfs from what it is mounted on.
  await chmod(join(root, 'tmp'), 0o1777)
  // Where programs of a person's own are put without a package manager. Never a directory that something is mounted in.
  for (const directory of OWN_DIRECTORIES) await mkdir(join(root, directory), { recursive: true, mode: 0o755 })
  await run('chown', ['-R', `${AGENT_UID}:${AGENT_UID}`, '--', ...OWN_DIRECTORIES.map((name) => join(root, name))])
  await appendFile(join(root, 'etc/passwd'), `${AGENT_LINES.passwd}\n`)
  await appendFile(join(root, 'etc/group'), `${AGENT_LINES.group}\n`)
  for (const [path, content] of Object.entries(SESSION_FILES)) {
    await rm(join(root, path), { force: true })
    await writeFile(join(root, path), content, { mode: 0o644 })
  }
  await rm(join(root, 'etc/localtime'), { force: true })
  await cp('/etc/localtime', join(root, 'etc/localtime'), { verbatimSymlinks: true })
}

async function removeTraces(root: string): Promise<void> {
  // Devices are made by runc; those of a root filesystem are never seen.
  for (const name of await readdir(join(root, 'dev'))) await rm(join(root, 'dev', name), { recursive: true })
  const apt = join(root, 'etc/apt')
  // The settings of this machine's apt, which may name a proxy with its password.
  await rm(join(apt, 'apt.conf.d/99mmdebstrap'), { force: true })
  for (const file of await readdir(apt, { recursive: true, withFileTypes: true })) {
    if (!file.isFile() || !/\.(list|sources)$/.test(file.name)) continue
    const path = join(file.parentPath, file.name)
    await writeFile(path, redactUrls(await readFile(path, 'utf8')))
  }
}
