import { createWriteStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AioError } from '@ai-orchestration/protocol'

/** Most of each kind, branches, stashes and tags, that are brought home. */
export const TIPS_MAX = 2_000
/** Most commits brought home that only a reflog remembers. */
const LOST_MAX = 500
/** Longest list of tips, in bytes. */
const HEAD_MAX_BYTES = 4 * 1024 * 1024
/** Largest pack that is taken in, in bytes: a limit against filling the host's disk by one commit. */
const PACK_MAX_BYTES = 4 * 1024 ** 3

/** Where {@link TIPS_SCRIPT} finds the references that the session began with, as `{commit} {ref}`. */
export const BASE_REFS = '/project/.base-refs'

/** Makes an empty repository at `$home`, with the objects of the one around the working directory behind it. */
export const PRIVATE_REPOSITORY_SCRIPT = `
home=/tmp/home.git
mkdir -p $home/objects/info $home/refs
objects=$(git rev-parse --path-format=absolute --git-path objects) || exit 3
printf '%s\\n/project/.objects\\n' "$objects" >$home/objects/info/alternates
echo 'ref: refs/heads/none' >$home/HEAD
format=$(git rev-parse --show-object-format)
printf '[core]\\n\\trepositoryformatversion = 1\\n\\tbare = true\\n[extensions]\\n\\tobjectFormat = %s\\n' "$format" >$home/config
`

/**
 * Runs in a helper beside the session, in its workspace. Prints `{commit} {ref}` for HEAD, each branch, each stash, each
 * tag and note that its base did not have, and each commit that only a reflog remembers, as after an amend or a rebase;
 * an empty line, and then a pack of what the commits in its arguments do not reach. The pack is made in a repository of
 * its own, with the agent's objects behind it, where all of these are references.
 */
export const TIPS_SCRIPT = `${PRIVATE_REPOSITORY_SCRIPT}
{
  head=$(git rev-parse --quiet --verify 'HEAD^{commit}') && echo "$head refs/head"
  git for-each-ref --count=${TIPS_MAX + 1} --format='%(objectname) %(refname)' refs/heads
  stashes=$(git stash list --format=%H | head -n ${TIPS_MAX + 1})
  number=0
  for commit in $stashes; do
    echo "$commit refs/stash/$number"
    number=$((number + 1))
  done
  git for-each-ref --format='%(objectname) %(refname)' refs/tags refs/notes |
    grep -vxF -f ${BASE_REFS} | head -n ${TIPS_MAX + 1}
  git rev-list --reflog --parents --not --branches --tags $head $stashes |
    awk '{ own[$1]; for (i = 2; i <= NF; i++) parent[$i] }
      END { for (commit in own) if (!(commit in parent)) print commit, "refs/lost/" commit }' | head -n ${LOST_MAX}
} >$home/packed-refs
cat $home/packed-refs
echo
printf '^%s\\n' "$@" | git --git-dir=$home pack-objects -q --stdout --all --thin --delta-base-offset
`

/** Where HEAD, branches, stashes and the rest of a workspace point: `head`, `heads/…`, `stash/0` and so on. */
export type Tips = ReadonlyMap<string, string>

const REF = /^(?:head|(?:heads|tags|notes)\/[^\s~^:?*[\\]+|stash\/\d+|lost\/[0-9a-f]{40,64})$/

/**
 * Reads what {@link TIPS_SCRIPT} prints: answers the tips, and writes the pack to a file of the host's.
 *
 * @throws AioError LIMIT when there is too much of either; EXEC_ERROR when it is not what was asked for.
 */
export async function readTips(stdout: Readable, packFile: string): Promise<{ tips: Tips; leftOut: number }> {
  const chunks = stdout[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  let end = -1
  while (end < 0) {
    const { value, done } = await chunks.next()
    if (done === true) break
    head = Buffer.concat([head, value])
    end = head[0] === 0x0a ? 0 : head.indexOf('\n\n') + 1 || -1
    if (end < 0 && head.length > HEAD_MAX_BYTES)
      throw new AioError('LIMIT', 'The session has more branches than can be brought home.')
  }
  let packBytes = 0
  async function* rest() {
    const first = end < 0 ? Buffer.alloc(0) : head.subarray(end + 1)
    for (let chunk = first; ; ) {
      packBytes += chunk.length
      if (packBytes > PACK_MAX_BYTES) throw new AioError('LIMIT', 'The new commits are larger than 4 GB.')
      if (chunk.length > 0) yield chunk
      const { value, done } = await chunks.next()
      if (done === true) return
      chunk = value
    }
  }
  await pipeline(rest, createWriteStream(packFile, { mode: 0o600 }))
  return parseTips(head.subarray(0, Math.max(end, 0)).toString('utf8'))
}

/** Keeps only what can be a reference of the session's own, and counts what had to be left out. */
export function parseTips(text: string): { tips: Tips; leftOut: number } {
  const tips = new Map<string, string>()
  let leftOut = 0
  for (const line of text.split('\n')) {
    const [, oid, ref] = /^([0-9a-f]{40}|[0-9a-f]{64}) refs\/(.+)$/.exec(line) ?? []
    if (oid !== undefined && ref !== undefined && isSafe(ref) && tips.size <= 4 * TIPS_MAX) tips.set(ref, oid)
    else if (line !== '') leftOut++
  }
  return { tips, leftOut }
}

function isSafe(ref: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  const forbidden = /[\u0000-\u0020\u007f\ufffd]|\.\.|@\{|\/\/|\/\.|\.(?:lock)?(?:\/|$)|\/$/
  return REF.test(ref) && ref.length <= 250 && !forbidden.test(ref)
}
