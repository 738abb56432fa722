import { type RunResult, run } from '../process/run.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'

/**
 * Settings for git on the host, which only ever works in `.repo`: no hook, monitor, collector or transport of its own
 * accord, whatever a configuration says. Bundles and directories are the one thing it may fetch from.
 */
const HARDENED = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.untrackedCache=false',
  'core.sharedRepository=0644',
  'protocol.allow=never',
  'protocol.file.allow=always',
  'submodule.recurse=false',
  'gc.auto=0',
  'maintenance.auto=false',
].flatMap((setting) => ['-c', setting])

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  LC_ALL: 'C',
}

/**
 * Runs git in a project's own repository.
 *
 * @throws AioError EXEC_ERROR with git's last words, unless `allowFailure`.
 */
export async function hostGit(
  repo: string,
  args: readonly string[],
  options: { input?: string; allowFailure?: boolean } = {},
): Promise<RunResult> {
  return await run('git', ['-C', repo, ...HARDENED, ...args], { env: ENVIRONMENT, ...options })
}

/** Starts git in a project's own repository with open pipes, for more output than fits into memory. */
export function spawnHostGit(repo: string, args: readonly string[]): PipedChild {
  return spawnPiped('git', ['-C', repo, ...HARDENED, ...args], { env: ENVIRONMENT })
}

const queues = new Map<string, Promise<unknown>>()

/** Runs what changes one directory after what changed it before: git's own locks fail instead of waiting. */
export async function inTurn<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const before = queues.get(directory) ?? Promise.resolve()
  const mine = before.then(action, action)
  queues.set(directory, mine)
  try {
    return await mine
  } finally {
    if (queues.get(directory) === mine) queues.delete(directory)
  }
}
