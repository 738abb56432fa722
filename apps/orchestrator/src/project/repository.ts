import { AioError, type CloneUrl } from '@ai-orchestration/protocol'
import { cleanEnv, type RunResult, run } from '../process/run.ts'

/** Faults that real, old histories carry and that can do no harm; everything else that fsck finds refuses a clone. */
const HARMLESS_FSCK = [
  'badTimezone',
  'badTimezoneOverflow',
  'missingSpaceBeforeDate',
  'missingSpaceBeforeEmail',
  'missingEmail',
  'missingNameBeforeEmail',
  'zeroPaddedFilemode',
  'zeroPaddedDate',
  'badFilemode',
  'badEmail',
  'multipleAuthors',
  'missingTaggerEntry',
  'badTagName',
  'nullSha1',
]

/** Settings that keep git on the host from running anything of its own accord. */
const HARDENED = [
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'protocol.ext.allow=never',
  '-c',
  'submodule.recurse=false',
  '-c',
  'gc.auto=0',
]

/** Runs git on a host-owned repository, without the machine's own git configuration. */
export async function gitLocal(
  repo: string,
  args: readonly string[],
  options: { allowFailure?: boolean; signal?: AbortSignal } = {},
): Promise<RunResult> {
  return await run('git', ['-C', repo, ...HARDENED, ...args], {
    env: cleanEnv({
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_SYSTEM: '/dev/null',
      GIT_TERMINAL_PROMPT: '0',
      LC_ALL: 'C',
    }),
    ...options,
  })
}

/** What is needed to talk to a remote: the person's own git configuration with its credential helpers, and never a question. */
function remoteEnv(kind: CloneUrl['kind']): Record<string, string> {
  const protocol = { https: 'https', ssh: 'ssh', scp: 'ssh', local: 'file' }[kind]
  return cleanEnv({
    GIT_ALLOW_PROTOCOL: protocol,
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'true',
    SSH_ASKPASS: 'true',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    GIT_LFS_SKIP_SMUDGE: '1',
    LC_ALL: 'C',
  })
}

const fsck = ['-c', 'fetch.fsckObjects=true', ...HARMLESS_FSCK.flatMap((id) => ['-c', `fetch.fsck.${id}=ignore`])]

/** Called with git's own progress. */
export type OnProgress = (percent: number | undefined, message: string) => void

/** Turns a line of git's progress into a percentage of the whole, or answers `undefined` for any other line. */
export function parseGitProgress(line: string): { percent: number; message: string } | undefined {
  const match = /^(?:remote: )?([A-Z][a-z]+ [a-z]+):\s+(\d{1,3})%/.exec(line.trim())
  const [, phase, percent] = match ?? []
  if (phase === undefined || percent === undefined) return undefined
  const share = {
    'Counting objects': [0, 5],
    'Compressing objects': [5, 10],
    'Receiving objects': [10, 85],
    'Resolving deltas': [85, 100],
  }[phase]
  if (share === undefined) return undefined
  const [from = 0, to = 100] = share
  return { percent: Math.round(from + ((to - from) * Number(percent)) / 100), message: `${phase} ${percent}%` }
}

/**
 * Clones a repository without checking it out: a non-bare repository whose objects are its own.
 *
 * @throws AioError EXEC_ERROR with git's own words, credentials redacted.
 */
export async function cloneRepository(
  source: CloneUrl,
  target: string,
  options: { signal: AbortSignal; onProgress: OnProgress },
): Promise<void> {
  const lines: string[] = []
  const result = await run(
    'git',
    [
      ...HARDENED,
      ...fsck,
      // A local repository may belong to another user; only an admin's request comes this far.
      ...(source.kind === 'local' ? ['-c', 'safe.directory=*'] : []),
      'clone',
      '--no-checkout',
      '--no-local',
      '--no-recurse-submodules',
      '--template=',
      '--progress',
      '--',
      source.url,
      target,
    ],
    {
      env: remoteEnv(source.kind),
      signal: options.signal,
      allowFailure: true,
      onStderrLine: (line) => {
        const progress = parseGitProgress(line)
        if (progress === undefined) lines.push(line)
        else options.onProgress(progress.percent, progress.message)
      },
    },
  )
  options.signal.throwIfAborted()
  if (result.exitCode === 0) return
  const said = lines
    .filter((line) => /^(fatal|error|remote|ssh|Host key|Permission|git@)/i.test(line))
    .slice(-3)
    .join(' ')
    .replaceAll(source.url, source.redacted)
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi, '$1')
  throw new AioError(
    'EXEC_ERROR',
    `${source.redacted} could not be cloned. ${said} ${adviceFor(said, source.kind)}`.trim(),
  )
}

function adviceFor(said: string, kind: CloneUrl['kind']): string {
  if (/could not read Username|Authentication failed|403|401/.test(said))
    return "The host asks for credentials: set up a git credential helper for the user the orchestrator runs as, or use the repository's ssh address."
  if (/Permission denied|Host key verification/.test(said))
    return 'Try `ssh` to that host once as the user the orchestrator runs as, so that its key and host key are known.'
  if (/Could not resolve host|unable to access|Connection/.test(said))
    return 'Check the address and that this machine can reach it.'
  if (kind === 'local') return "Check that the path is a git repository on the orchestrator's machine."
  return ''
}

/** Fetches from `origin`; the default branch of new sessions is what this last saw. */
export async function fetchOrigin(repo: string, kind: CloneUrl['kind'], signal?: AbortSignal): Promise<void> {
  await run('git', ['-C', repo, ...HARDENED, ...fsck, 'fetch', '--quiet', '--no-recurse-submodules', 'origin'], {
    env: remoteEnv(kind),
    timeoutMs: 120_000,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Makes an empty repository with one empty commit on `main`, so that a worktree can start somewhere. */
export async function initRepository(target: string): Promise<void> {
  await run('git', ['init', '--quiet', '--template=', '--initial-branch=main', '--', target], {
    env: cleanEnv({ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' }),
  })
  await commitNothing(target, 'refs/heads/main')
}

/**
 * Finds the branch that sessions start from, and gives an empty repository its first commit.
 *
 * @returns the branch's short name, such as `main`.
 */
export async function settleDefaultBranch(repo: string): Promise<string> {
  const head = await gitLocal(repo, ['symbolic-ref', '--quiet', '--short', 'HEAD'], { allowFailure: true })
  const named = head.stdout.trim()
  if (named !== '') {
    const born = await gitLocal(repo, ['rev-parse', '--quiet', '--verify', `refs/heads/${named}`], {
      allowFailure: true,
    })
    if (born.exitCode === 0) return named
    const branches = await listBranches(repo)
    const known = branches.find((branch) => branch === 'main' || branch === 'master') ?? branches[0]
    if (known === undefined) {
      await commitNothing(repo, `refs/heads/${named}`)
      return named
    }
    await gitLocal(repo, ['update-ref', `refs/heads/${known}`, `refs/remotes/origin/${known}`])
    await gitLocal(repo, ['symbolic-ref', 'HEAD', `refs/heads/${known}`])
    return known
  }
  // The source had a detached HEAD: name the commit it stood on.
  const branches = await listBranches(repo)
  const known = branches.find((branch) => branch === 'main' || branch === 'master') ?? branches[0]
  const branch = known ?? 'main'
  await gitLocal(repo, [
    'update-ref',
    `refs/heads/${branch}`,
    known === undefined ? 'HEAD' : `refs/remotes/origin/${known}`,
  ])
  await gitLocal(repo, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`])
  return branch
}

/** Makes sure that sessions can start from a branch. @throws AioError INVALID_INPUT */
export async function assertBranch(repo: string, branch: string): Promise<void> {
  const names = [`refs/remotes/origin/${branch}`, `refs/heads/${branch}`]
  const { stdout } = await gitLocal(repo, ['for-each-ref', '--format=%(refname)', ...names])
  if (stdout.split('\n').some((name) => names.includes(name))) return
  throw new AioError('INVALID_INPUT', `There is no branch ${branch} in this project, so it cannot be the default one.`)
}

async function listBranches(repo: string): Promise<string[]> {
  const { stdout } = await gitLocal(repo, ['for-each-ref', '--format=%(refname:lstrip=3)', 'refs/remotes/origin'])
  return stdout.split('\n').filter((name) => name !== '' && name !== 'HEAD')
}

async function commitNothing(repo: string, ref: string): Promise<void> {
  const identity = ['-c', 'user.name=aio', '-c', 'user.email=aio@localhost', '-c', 'commit.gpgSign=false']
  // The hash of git's empty tree is a constant of the format, but the object itself has to exist.
  const tree = (await gitLocal(repo, ['mktree'])).stdout.trim()
  const commit = (await gitLocal(repo, [...identity, 'commit-tree', tree, '-m', 'Start'])).stdout.trim()
  await gitLocal(repo, ['update-ref', ref, commit])
}

/** Settings of a project's repository that keep every session safe: nothing is ever collected or run. */
export async function hardenRepository(repo: string): Promise<void> {
  const settings: [string, string][] = [
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['core.hooksPath', '/dev/null'],
    ['core.fsmonitor', 'false'],
    ['fetch.prune', 'false'],
  ]
  for (const [name, value] of settings) await gitLocal(repo, ['config', '--local', name, value])
}
