import { matchesGlob } from 'node:path'
import { AioError, type WorkAtRisk } from '@ai-orchestration/protocol'
import { projectBinds } from './binds.ts'
import type { HomeComing } from './home-coming.ts'
import { describeFailure } from './home-coming.ts'
import { workspaceOf } from './paths.ts'
import { projectOf, type SessionRuntime } from './runtime.ts'
import { layersOf, mountWorkspace } from './workspace.ts'

/** Longest list of each kind that is handed out. */
const LIST_MAX = 100
/** Longest listing that is read, in bytes: about 300,000 paths. */
const STATUS_MAX_BYTES = 32 * 1024 * 1024

/**
 * Runs in a helper in the workspace: operations in progress, files that git was told to overlook, repositories within
 * the repository, then git's own status.
 * The settings keep a repository's configuration from hiding something.
 */
const STATUS_SCRIPT = `
git_dir=$(git rev-parse --absolute-git-dir) || exit 3
for operation in MERGE_HEAD:merge rebase-merge:rebase rebase-apply:rebase CHERRY_PICK_HEAD:cherry-pick REVERT_HEAD:revert BISECT_LOG:bisect; do
  [ -e "$git_dir/\${operation%%:*}" ] && printf 'o %s\\0' "\${operation##*:}"
done
export LC_ALL=C GIT_DIR="$git_dir" GIT_WORK_TREE="$PWD"
git ls-files -v -z | sed -zn 's/^[a-z] /1 /p'
git ls-files -v -z | sed -zn 's/^S //p' | xargs -0 -r sh -c 'for path; do { [ -e "$path" ] || [ -L "$path" ]; } && printf "1 %s\\0" "$path"; done; :' sh
git ls-files -s -z | sed -zn 's/^160000 [^\\t]*\\t//p' | xargs -0 -r sh -c 'for path; do [ -e "$path/.git" ] && printf "s %s\\0" "$path"; done; :' sh
exec git -c core.fsmonitor=false -c core.untrackedCache=false -c core.ignoreStat=false -c core.fileMode=true \\
  -c core.checkStat=default -c core.trustctime=true -c core.symlinks=true -c core.ignoreCase=false \\
  -c status.showUntrackedFiles=all status --porcelain=v2 -z --untracked-files=all --ignored=matching \\
  --ignore-submodules=none --no-renames
`

/** Says what removing a session would lose; "cannot be told" counts as work. */
export async function findWorkAtRisk(runtime: SessionRuntime, homeComing: HomeComing, id: string): Promise<WorkAtRisk> {
  const { disposable } = runtime.projects.require(projectOf(id))
  const commits: string[] = []
  await homeComing.bring(id).catch((error: unknown) => commits.push(describeFailure(error)))
  const status = await readStatus(runtime, id).catch((error: unknown) => ({ problem: describeFailure(error) }))
  const found =
    'problem' in status
      ? { modified: [], untracked: [], ignored: [], operations: [`The workspace could not be read: ${status.problem}`] }
      : parseStatus(status.text)
  const ignored = found.ignored.filter((path) => !isDisposable(path, disposable))
  const inner = 'inner' in found ? found.inner.map((path) => `those of ${path}, a repository of its own`) : []
  return bounded({ ...found, ignored, commits: [...commits, ...inner] })
}

/** Tells whether there is nothing in it. */
export function isNothing(risk: WorkAtRisk): boolean {
  return kindsOf(risk).every(([, list]) => list.length === 0) && risk.omitted === 0
}

/** A sentence such as `2 modified files (a, b) and 1 untracked file (c)`. */
export function describeRisk(risk: WorkAtRisk): string {
  const parts = kindsOf(risk).flatMap(([kind, list]) => {
    if (list.length === 0) return []
    const shown = list.slice(0, 3).map((entry) => JSON.stringify(entry).slice(1, -1))
    return [
      `${list.length} ${kind}${list.length === 1 ? '' : 's'} (${shown.join(', ')}${list.length > 3 ? ', …' : ''})`,
    ]
  })
  const more = risk.omitted > 0 ? [`${risk.omitted} more`] : []
  return new Intl.ListFormat('en').format([...parts, ...more])
}

function kindsOf(risk: WorkAtRisk): [string, string[]][] {
  return [
    ['modified file', risk.modified],
    ['untracked file', risk.untracked],
    ['ignored file', risk.ignored],
    ['operation in progress', risk.operations],
    ['commit that is not home', risk.commits],
  ]
}

async function readStatus(runtime: SessionRuntime, id: string): Promise<{ text: string } | { problem: string }> {
  const paths = runtime.paths(id)
  await mountWorkspace(paths, runtime.store.require(id).session.base.commit)
  const { exitCode, stdout, stderr } = await runtime.helpers.text({
    argv: ['/bin/sh', '-c', STATUS_SCRIPT],
    cwd: workspaceOf(id),
    binds: projectBinds(id, { worktree: paths.worktree, repo: runtime.repoOf(id) }, false),
    maxBytes: STATUS_MAX_BYTES,
  })
  if (exitCode !== 0) return { problem: stderr.trim().slice(-300) }
  const text = stdout.toString('utf8')
  const hasSetup = (layersOf(paths.bundle) ?? []).length > 1
  return { text: hasSetup ? withoutSetup(text, await readWritten(runtime, id)) : text }
}

/** The paths in a session's own layer, marks of what it removed included; git's own are left out. */
async function readWritten(runtime: SessionRuntime, id: string): Promise<ReadonlySet<string>> {
  const inside = '/project/layer'
  const { exitCode, stdout, stderr } = await runtime.helpers.text({
    argv: ['find', inside, '-mindepth', '1', '-path', `${inside}/.git`, '-prune', '-o', '-printf', '%P\\0'],
    cwd: '/',
    binds: [{ source: runtime.paths(id).upper, destination: inside, isWritable: false }],
    maxBytes: STATUS_MAX_BYTES,
  })
  if (exitCode !== 0) throw new AioError('EXEC_ERROR', `The session's own layer could not be read: ${stderr.trim()}`)
  return new Set(stdout.toString('utf8').split('\0'))
}

/**
 * Leaves out of a status what the project's setup left: it is there for every session, and is no work of this one. What
 * is staged stays, since that lies in the index and not in a file.
 */
export function withoutSetup(text: string, written: ReadonlySet<string>): string {
  const isOwn = (entry: string): boolean => {
    const [kind = '', ...rest] = entry.split(' ')
    const isStatus = kind === '1' && /^[.A-Z]{2}$/.test(rest[0] ?? '')
    if (!['1', '?', '!', 's'].includes(kind) || (isStatus && !rest[0]?.startsWith('.'))) return true
    const path = (isStatus ? rest.slice(7) : rest).join(' ').replace(/\/$/, '')
    return written.has(path)
  }
  return text.split('\0').filter(isOwn).join('\0')
}

/** Reads `git status --porcelain=v2 -z`, with entries `o …` for operations and `s …` for repositories within. */
export function parseStatus(text: string): Omit<WorkAtRisk, 'commits' | 'omitted'> & { inner: string[] } {
  const found = {
    modified: new Set<string>(),
    untracked: [] as string[],
    ignored: [] as string[],
    operations: new Set<string>(),
    inner: [] as string[],
  }
  for (const entry of text.split('\0')) {
    const [kind, ...rest] = entry.split(' ')
    switch (kind) {
      case '1':
        // Eight fields before the path, or none where we made the line ourselves.
        found.modified.add((/^[.A-Z]{2}$/.test(rest[0] ?? '') ? rest.slice(7) : rest).join(' '))
        break
      case 'u':
        found.modified.add(rest.slice(9).join(' '))
        break
      case '?':
        found.untracked.push(rest.join(' '))
        break
      case '!':
        found.ignored.push(rest.join(' '))
        break
      case 's':
        found.inner.push(rest.join(' '))
        break
      case 'o':
        found.operations.add(rest.join(' '))
        break
      default:
        break
    }
  }
  return { ...found, modified: [...found.modified], operations: [...found.operations] }
}

/** A disposable name or glob covers everything below any directory that it matches. */
export function isDisposable(path: string, globs: readonly string[]): boolean {
  const names = path.replace(/\/$/, '').split('/')
  return globs.some((glob) => {
    const pattern = glob.replace(/^\/|\/$/g, '')
    return pattern.includes('/')
      ? names.some((_, index) => matchesGlob(names.slice(0, index + 1).join('/'), pattern))
      : names.some((name) => matchesGlob(name, pattern))
  })
}

function bounded(risk: Omit<WorkAtRisk, 'omitted'>): WorkAtRisk {
  let omitted = 0
  const cut = (list: string[]) => {
    omitted += Math.max(0, list.length - LIST_MAX)
    return list.slice(0, LIST_MAX)
  }
  return {
    modified: cut(risk.modified),
    untracked: cut(risk.untracked),
    ignored: cut(risk.ignored),
    operations: cut(risk.operations),
    commits: cut(risk.commits),
    omitted,
  }
}
