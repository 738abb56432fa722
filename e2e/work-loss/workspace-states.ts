import fc from 'fast-check'

/** One thing an agent may do to its workspace: a shell script, run in it, whose failure does not matter. */
export interface Deed {
  name: string
  script: string
}

const deeds: Record<string, string> = {
  modified: 'echo changed >> a.txt',
  'modified in a directory': 'echo changed >> dir/b.txt',
  staged: 'echo staged > staged.txt; git add staged.txt',
  'staged and changed again': 'echo 1 > twice.txt; git add twice.txt; echo 2 >> twice.txt',
  'staged and then gone': 'echo 1 > gone.txt; git add gone.txt; rm gone.txt',
  'intent to add': 'echo 1 > intended.txt; git add -N intended.txt',
  deleted: 'rm -f a.txt',
  'deleted for git': 'git rm -q --cached a.txt',
  renamed: 'git mv dir/b.txt moved.txt',
  untracked: 'echo new > new.txt',
  ignored: 'echo log > debug.log',
  disposable: 'mkdir -p pkg/node_modules/x; echo made > pkg/node_modules/x/y',
  'a mode': 'chmod +x a.txt',
  'a closed file': 'echo secret > closed; chmod 000 closed',
  'a set bit': 'echo x > setuid; chmod 4755 setuid',
  links: 'ln -sf /etc/passwd link; ln -sfn nowhere dangling; ln -sfn dir link-to-dir',
  'a link in the place of a file': 'rm -f dir/b.txt; ln -s ../a.txt dir/b.txt',
  'a directory in the place of a file': 'rm -rf a.txt; mkdir a.txt; echo in > a.txt/in',
  'a directory made anew': 'rm -rf dir; mkdir dir; echo other > dir/other',
  'a directory renamed': 'mv dir dir-2',
  'an empty file': ': > empty',
  'an empty directory': 'mkdir -p hollow/deep',
  'an odd name': `: > "$(printf 'b\\377\\376d')"; : > "$(printf 'line\\nbreak')"; : > ' space'; : > -dash; : > '"quoted"\\'`,
  'a long name': `echo x > "$(printf 'n%.0s' $(seq 250))"`,
  'names that caches have elsewhere':
    'mkdir -p home/.cache home/.npm; echo precious > home/.cache/x; echo precious > home/.npm/x',
  'hard links': 'echo both > first; ln -f first second',
  'a pipe': 'mkfifo pipe',
  'a file with holes': 'truncate -s 64M holes; printf end >> holes',
  'many bytes': 'head -c 3000000 /dev/urandom > random.bin',
  'a nested repository':
    'git init -q nested; echo in > nested/f; git -C nested add f; git -C nested commit -qm in; echo more >> nested/f',
  'a nested repository in the index':
    'git init -q sub; echo in > sub/f; git -C sub add f; git -C sub commit -qm in; git add sub; git commit -qm sub; echo dirty >> sub/f',
  'a commit': 'echo c >> c.txt; git add c.txt; git commit -qm commit',
  'a commit of all': 'git add -A; git commit -qm all',
  'a commit on another branch': 'git switch -qc side/one; git commit -q --allow-empty -m aside; git switch -q -',
  'a commit on no branch': 'git checkout -q --detach; git commit -q --allow-empty -m detached',
  'a commit that only the reflog knows': 'git commit -q --allow-empty -m lost; git reset -q --soft HEAD~1',
  'an amended commit': 'git commit -q --allow-empty -m one; git commit -q --allow-empty --amend -m two',
  'a stash': 'echo s >> a.txt; git stash -q',
  'a stash with untracked files': 'echo u > u.txt; git stash -qu',
  'a tag': 'git tag light; git tag -a heavy -m "a tag of its own"',
  'a tag on a commit of no branch':
    'git checkout -q --detach; git commit -q --allow-empty -m tagged; git tag only-here; git switch -q -',
  'a note': 'git notes add -f -m note HEAD',
  'a merge in progress':
    'git switch -qc theirs; echo theirs > a.txt; git commit -qam theirs; git switch -q -; echo ours > a.txt; git commit -qam ours; git merge -q theirs',
  'a rebase in progress':
    'git switch -qc onto; echo onto > a.txt; git commit -qam onto; git switch -q -; echo mine > a.txt; git commit -qam mine; git rebase -q onto',
  'a cherry-pick in progress':
    'git switch -qc pick; echo pick > a.txt; git commit -qam pick; git switch -q -; echo base > a.txt; git commit -qam base; git cherry-pick pick',
  'a bisect in progress':
    'git commit -q --allow-empty -m b1; git commit -q --allow-empty -m b2; git bisect start -q HEAD HEAD~2',
  'a file that git is told to overlook': 'git update-index --assume-unchanged a.txt; echo overlooked >> a.txt',
  'a file that git is told to skip': 'git update-index --skip-worktree dir/b.txt; echo skipped >> dir/b.txt',
  'everything excluded': 'mkdir -p .git/info; echo "*" > .git/info/exclude; echo x > excluded',
  'a lock left behind': ': > .git/index.lock',
  'no index': 'rm -f .git/index',
  'a broken HEAD': 'echo nonsense > .git/HEAD',
  'a work tree elsewhere': 'mkdir -p /tmp/elsewhere; git config core.worktree /tmp/elsewhere; echo x > not-seen',
  'packed references': 'git pack-refs --all',
  'collected objects': 'git commit -q --allow-empty -m packed; git gc -q',
  'hooks and settings':
    'mkdir -p .git/hooks; printf "#!/bin/sh\\nexit 1\\n" > .git/hooks/pre-commit; git config alias.x "!false"',
}

/** What an agent did, in order. */
export const workspaceStates = fc.uniqueArray(
  fc.constantFrom(...Object.entries(deeds).map(([name, script]): Deed => ({ name, script }))),
  { minLength: 0, maxLength: 6, selector: ({ name }) => name },
)

/** How a session is when it is removed. */
export const conditions = fc.constantFrom(
  'running',
  'container killed',
  'workspace unmounted',
  'pids exhausted',
  'frozen',
)
export type Condition = 'running' | 'container killed' | 'workspace unmounted' | 'pids exhausted' | 'frozen'

/** Each way to remove a session. */
export const removals = fc.constantFrom('terminate', 'delete the project', 'delete and create the project')
export type Removal = 'terminate' | 'delete the project' | 'delete and create the project'
