import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError } from '@ai-orchestration/protocol'
import { projectBinds } from './binds.ts'
import { makeHome } from './home.ts'
import { workspaceOf } from './paths.ts'
import type { SessionRuntime } from './runtime.ts'

/**
 * Gives a copied workspace a branch of its own: arguments are the branch it was on and the new one. Whoever was on the
 * old one is on the new one then, also in the middle of a rebase; a branch that has the new name by chance keeps its
 * commits under another. A repository that cannot be read stays as it is.
 */
const BRANCH_SCRIPT = `
git_dir=$(git rev-parse --absolute-git-dir) || exit 0
tip=$(git rev-parse -q --verify "refs/heads/$1^{commit}" || git rev-parse -q --verify 'HEAD^{commit}') || exit 0
there=$(git rev-parse -q --verify "refs/heads/$2^{commit}") && [ "$there" != "$tip" ] && git update-ref "refs/heads/$2-$there" "$there"
git update-ref "refs/heads/$2" "$tip"
[ "$(git symbolic-ref -q HEAD)" = "refs/heads/$1" ] && git symbolic-ref HEAD "refs/heads/$2"
for operation in rebase-merge rebase-apply; do
  name=$git_dir/$operation/head-name
  [ "$(cat "$name" 2>/dev/null)" = "refs/heads/$1" ] && echo "refs/heads/$2" >"$name"
done
exit 0
`

/** What the agent wants to find in its home, over what a session of another name left there, which is kept beside it. */
const HOME_SCRIPT = `
cd /project/.seed && find . -type f -exec sh -c '
for file; do
  [ -e "$HOME/$file" ] && mv -- "$HOME/$file" "$HOME/$file.copied"
  mkdir -p -- "$HOME/\${file%/*}" && cp -a -- "$file" "$HOME/$file" || exit 1
done' sh {} + && cd "$OLDPWD"`

/** Makes a workspace and home that were copied from another session their own, before anything runs in them. */
export async function settleCopy(runtime: SessionRuntime, id: string, from: { branch: string }): Promise<void> {
  const { session } = runtime.store.require(id)
  const { worktree, bundle, home } = runtime.paths(id)
  const seed = join(bundle, 'seed')
  await makeHome(runtime.agents, session.agent, seed, {
    workspace: workspaceOf(id),
    permissions: session.permissions ?? 'ask',
  })
  try {
    const { exitCode, stderr } = await runtime.helpers.text({
      argv: ['/bin/sh', '-c', `${HOME_SCRIPT} || exit 1\n${BRANCH_SCRIPT}`, 'settle', from.branch, session.branch],
      cwd: workspaceOf(id),
      binds: [
        ...projectBinds(id, { worktree, repo: runtime.repoOf(id) }, true),
        { source: home, destination: '/home/agent', isWritable: true },
        { source: seed, destination: '/project/.seed', isWritable: false },
      ],
      maxBytes: 64 * 1024,
    })
    if (exitCode !== 0)
      throw new AioError('EXEC_ERROR', `The copy could not be made its own: ${stderr.trim().slice(-300)}`)
  } finally {
    await rm(seed, { recursive: true, force: true })
  }
}
