import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { AioError } from '@ai-orchestration/protocol'
import { cleanEnv, redactUrls, run } from '../process/run.ts'
import { spawnPiped } from '../process/spawn-piped.ts'
import { aptSources } from './apt-sources.ts'
import { BuildProgress } from './build-progress.ts'

/** Fills an absent directory with a distribution that has the programs sessions need. */
export type Bootstrap = (
  directory: string,
  options: {
    signal: AbortSignal
    progress: (percent: number | undefined, message: string) => void
    /** Where downloads are kept for another try; made when absent. */
    packages: string
  },
) => Promise<void>

/** Beside the essential packages and apt; tini is the first process of every container. */
const PACKAGES = ['git', 'ca-certificates', 'ripgrep', 'curl', 'less', 'procps', 'openssh-client', 'tini']

/** A fetched package is kept for 30 days, in milliseconds. */
const PACKAGES_KEPT_MS = 30 * 24 * 3_600_000
/** How many of the last lines are kept to say why a build failed. */
const KEPT_LINES = 40

/**
 * Fills a directory by mmdebstrap, from the package sources and with the settings of this machine's apt.
 *
 * @throws AioError EXEC_ERROR when mmdebstrap is missing or fails; the signal's reason when it is aborted.
 */
export const bootstrapDebian: Bootstrap = async (directory, { signal, progress, packages }) => {
  await assertInstalled()
  const sources = await aptSources()
  // How apt reaches its sources, such as through a proxy; it may hold a password.
  const { stdout: settings } = await run('apt-config', ['dump', '--format', '%F "%v";%n', 'Acquire'])
  const settingsFile = `${directory}.apt.conf`
  try {
    await writeFile(settingsFile, settings, { mode: 0o600 })
    await prepareCache(packages)
    signal.throwIfAborted()
    const archives = '"$1/var/cache/apt/archives"'
    const kept = [
      // In the build's own mount namespace: what has been fetched stays, however the build ends.
      `--setup-hook=mkdir -p ${archives} && mount --bind ${quoted(packages)} ${archives}`,
      '--skip=essential/unlink',
      `--customize-hook=umount ${archives}`,
    ]
    const args = [...kept, `--aptopt=${settingsFile}`, `--include=${PACKAGES.join(',')}`, '--', '', directory]
    await build([...args, ...sources], { signal, progress })
  } finally {
    await rm(settingsFile, { force: true })
  }
}

/** Packages that have lain there for long are out of date, and would be fetched anew. */
async function prepareCache(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 })
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    const { ctimeMs } = await stat(path)
    if (Date.now() - ctimeMs > PACKAGES_KEPT_MS) await rm(path, { recursive: true })
  }
}

/** One word for a shell, whatever is in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

async function assertInstalled(): Promise<void> {
  const { exitCode } = await run('mmdebstrap', ['--version'], { allowFailure: true })
  if (exitCode === 0) return
  throw new AioError(
    'EXEC_ERROR',
    'mmdebstrap, which builds root filesystems, is not installed on this machine. Run `apt-get install -y mmdebstrap` there, then try again.',
  )
}

/**
 * In process and mount namespaces of its own, which end with their first process, and that ends with us: whatever
 * happens, nothing of a build goes on and nothing stays mounted.
 */
async function build(
  args: readonly string[],
  { signal, progress }: Pick<Parameters<Bootstrap>[1], 'signal' | 'progress'>,
): Promise<void> {
  const child = spawnPiped(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
      ...['mmdebstrap', '--mode=root', '--variant=minbase', '--format=directory', '--verbose', ...args],
    ],
    { env: cleanEnv({ LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' }) },
  )
  child.stdin.end()
  child.stdout.resume()
  const kept: string[] = []
  const reader = new BuildProgress()
  createInterface({ input: child.stderr }).on('line', (line) => {
    kept.push(line)
    if (kept.length > KEPT_LINES) kept.shift()
    const found = reader.read(line)
    if (found !== undefined) progress(found.percent, found.message)
  })
  const stop = () => child.process.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.process.once('error', reject)
      child.process.once('close', (code) => resolve(code))
    })
    signal.throwIfAborted()
    if (exitCode !== 0)
      throw new AioError('EXEC_ERROR', `mmdebstrap could not build the root filesystem: ${whyOf(kept)}`)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Its own and apt's errors, else whatever it said last. */
function whyOf(lines: readonly string[]): string {
  const errors = lines.filter((line) => /^(E|Err)[: ]/.test(line))
  return redactUrls((errors.length > 0 ? errors : lines).slice(-5).join('\n'))
}
