import type { Readable } from 'node:stream'
import { AioError, type ExportFormat } from '@ai-orchestration/protocol'
import { projectBinds } from './binds.ts'
import { workspaceOf } from './paths.ts'
import type { SessionRuntime } from './runtime.ts'
import { PRIVATE_REPOSITORY_SCRIPT } from './tips.ts'
import { mountWorkspace } from './workspace.ts'

/** Longest an export may take, in milliseconds; whoever reads it sets the pace. */
const DEADLINE_MS = 60 * 60_000

/**
 * Prints what differs from the base, argument 1, as `git apply` takes it: what is staged or not, and untracked files, but
 * none that is ignored. Works on a copy of the index, in which nothing is hidden, unmerged or left out.
 */
const PATCH_SCRIPT = `
GIT_DIR=$(git rev-parse --absolute-git-dir) || exit 3
GIT_WORK_TREE=$PWD
GIT_INDEX_FILE=/tmp/index
GIT_OBJECT_DIRECTORY=/tmp/objects
GIT_ALTERNATE_OBJECT_DIRECTORIES=$(git rev-parse --path-format=absolute --git-path objects)
export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
mkdir /tmp/objects
if [ -f "$GIT_DIR/index" ]; then cp "$GIT_DIR/index" /tmp/index; else git read-tree "$1"; fi || exit 3
quiet='-c core.fsmonitor=false -c core.untrackedCache=false -c core.ignoreStat=false -c core.fileMode=true -c advice.addEmbeddedRepo=false'
git $quiet ls-files -z | git $quiet update-index -z --no-assume-unchanged --stdin 2>/dev/null
git $quiet ls-files -v -z | sed -zn 's/^S //p' | xargs -0 -r sh -c 'for path; do [ -e "$path" ] || [ -L "$path" ] && printf "%s\\0" "$path"; done; :' sh |
  git $quiet update-index -z --no-skip-worktree --stdin
git $quiet ls-files -u -z | sed -z 's/^[^\\t]*\\t//' | sort -zu >/tmp/unmerged
git $quiet update-index -z --force-remove --stdin </tmp/unmerged
xargs -0 -r sh -c 'for path; do [ -e "$path" ] || [ -L "$path" ] && git '"$quiet"' add -f -N -- ":(literal)$path"; done; :' sh </tmp/unmerged
git $quiet add -N --ignore-errors -- . 2>/dev/null
exec git $quiet diff --no-color --no-ext-diff --no-textconv --no-renames --binary --full-index --submodule=short \\
  --src-prefix=a/ --dst-prefix=b/ --ignore-submodules=dirty "$1" --
`

/** Prints a bundle of all commits: HEAD, branches, tags and stashes, with all their history. */
const BUNDLE_SCRIPT = `${PRIVATE_REPOSITORY_SCRIPT}
git symbolic-ref -q HEAD >/dev/null && git rev-parse -q --verify HEAD >/dev/null && echo "ref: $(git symbolic-ref HEAD)" >$home/HEAD
git symbolic-ref -q HEAD >/dev/null || git rev-parse -q --verify HEAD >$home/HEAD
{
  git for-each-ref --format='%(objectname) %(refname)' refs/heads refs/tags
  number=0
  git stash list --format=%H | while read -r commit; do
    echo "$commit refs/stash/$number"
    number=$((number + 1))
  done
} | sort -k 2 >$home/packed-refs
git --git-dir=$home rev-parse -q --verify HEAD >/dev/null && head=HEAD
exec git --git-dir=$home bundle create --quiet - --all $head
`

/**
 * Exports a session's work, made in a helper beside it, so that the session may be stopped, paused or exhausted.
 *
 * @param onOutput receives the file as it is made; the helper waits for it.
 * @throws AioError EXEC_ERROR when its repository cannot be read; what was received then is not complete.
 */
export async function exportSession(
  runtime: SessionRuntime,
  id: string,
  format: ExportFormat,
  onOutput: (stdout: Readable) => Promise<void>,
): Promise<void> {
  const { base } = runtime.store.require(id).session
  const paths = runtime.paths(id)
  await mountWorkspace(paths, base.commit)
  const { exitCode, stderr } = await runtime.helpers.run({
    argv: ['/bin/sh', '-c', format === 'patch' ? PATCH_SCRIPT : BUNDLE_SCRIPT, 'export', base.commit],
    cwd: workspaceOf(id),
    binds: projectBinds(id, { worktree: paths.worktree, repo: runtime.repoOf(id) }, false),
    deadlineMs: DEADLINE_MS,
    onOutput,
  })
  if (exitCode !== 0)
    throw new AioError(
      'EXEC_ERROR',
      `The ${format} of ${id} could not be made: ${stderr.trim().slice(-300) || `git ended with status ${exitCode}`}`,
    )
}
