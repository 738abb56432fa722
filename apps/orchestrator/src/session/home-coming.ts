import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import { stampOf } from './archives.ts'
import { projectBinds } from './binds.ts'
import { hostGit, inTurn } from './host-git.ts'
import { indexPack } from './index-pack.ts'
import { workspaceOf } from './paths.ts'
import type { SessionRuntime } from './runtime.ts'
import { BASE_REFS, readTips, TIPS_MAX, TIPS_SCRIPT, type Tips } from './tips.ts'
import { mountWorkspace } from './workspace.ts'

/** Longest a pack may take to be made, in milliseconds. */
const PACK_DEADLINE_MS = 5 * 60_000

/**
 * Brings commits, branches and stashes of workspaces home to `.repo`, as data: a pack that is made inside, and checked
 * object by object here. In `.repo` a session can only ever change `refs/sessions/{session}/`, `refs/archive/{session}/`
 * and its own branch.
 */
export class HomeComing {
  readonly #runtime: SessionRuntime
  readonly #home = new Map<string, Tips>()
  readonly #running = new Map<string, Promise<void>>()
  readonly #waiting = new Map<string, Promise<void>>()

  constructor(runtime: SessionRuntime) {
    this.#runtime = runtime
  }

  /**
   * Brings home what a session has; one at a time for each session, and whoever comes while one runs shares the next.
   *
   * @throws AioError when something could not be brought home; what was home before stays so.
   */
  async bring(id: string): Promise<void> {
    const running = this.#running.get(id)
    if (running !== undefined) {
      const next = this.#waiting.get(id) ?? running.catch(() => undefined).then(() => this.#start(id))
      this.#waiting.set(id, next)
      return await next
    }
    await this.#start(id)
  }

  /** What of a session is verified in `.repo`. */
  async tips(id: string): Promise<Tips> {
    const known = this.#home.get(id) ?? (await this.#readHome(id))
    this.#home.set(id, known)
    return known
  }

  /** Forgets a session that has been removed. */
  forget(id: string): void {
    this.#home.delete(id)
  }

  async #start(id: string): Promise<void> {
    this.#waiting.delete(id)
    const mine = this.#bring(id)
    this.#running.set(id, mine)
    try {
      await mine
    } finally {
      if (this.#running.get(id) === mine) this.#running.delete(id)
    }
  }

  async #bring(id: string): Promise<void> {
    const { store, paths, helpers, repoOf } = this.#runtime
    const { session } = store.require(id)
    const { worktree, bundle } = paths(id)
    const repo = repoOf(id)
    const { bases } = this.#runtime.projects.paths(session.projectId)
    const before = await this.tips(id)
    await mountWorkspace(paths(id), session.base.commit)
    const incoming = join(bundle, 'incoming.pack')
    await mkdir(bundle, { recursive: true })
    try {
      let read: { tips: Tips; leftOut: number } | undefined
      const known = new Set([session.base.commit, ...before.values()])
      const { exitCode, stderr } = await helpers.run({
        argv: ['/bin/sh', '-c', TIPS_SCRIPT, 'tips', ...known],
        cwd: workspaceOf(id),
        binds: [
          ...projectBinds(id, { worktree, repo }, false),
          { source: join(bases, session.base.commit, '.git/packed-refs'), destination: BASE_REFS, isWritable: false },
        ],
        deadlineMs: PACK_DEADLINE_MS,
        onOutput: async (stdout) => {
          read = await readTips(stdout, incoming)
        },
      })
      if (read === undefined || exitCode !== 0)
        throw new AioError(
          'EXEC_ERROR',
          `The commits of ${id} could not be brought home, because its repository could not be read: ${stderr.trim().slice(-300)}`,
        )
      const { tips, leftOut } = read
      if (!isSame(before, tips)) await inTurn(repo, async () => await this.#takeIn(id, tips, incoming))
      if (leftOut > 0 || tips.size > TIPS_MAX)
        throw new AioError(
          'LIMIT',
          `Not every branch or stash of ${id} could be brought home: there may be ${TIPS_MAX} of them, and git must accept their names.`,
        )
    } finally {
      await rm(incoming, { force: true })
    }
  }

  async #takeIn(id: string, tips: Tips, pack: string): Promise<void> {
    const repo = this.#runtime.repoOf(id)
    const { session } = this.#runtime.store.require(id)
    const before = await this.tips(id)
    await indexPack(repo, pack)
    // As after a fetch: every tip and all that it reaches must be here.
    await hostGit(repo, ['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all'], {
      input: [...new Set(tips.values()), ''].join('\n'),
    })
    const branch = `refs/heads/${session.branch}`
    const now = await this.#oidOf(repo, branch)
    const head = tips.get(`heads/${session.branch}`) ?? tips.get('head') ?? now ?? session.base.commit
    const replaced = await this.#replaced(repo, before, now === undefined ? [] : [now], tips)
    const stamp = stampOf(this.#runtime.now())
    const gone = [...before.keys()].filter((ref) => !tips.has(ref)).map((ref) => `refs/sessions/${id}/${ref}`)
    // Two turns, because a reference cannot be made where a deleted one was a directory, or the other way round.
    await update(repo, [
      ...replaced.map((oid) => `create refs/archive/${id}/${stamp}/${oid.slice(0, 12)} ${oid}`),
      ...gone.map((ref) => `delete ${ref}`),
    ])
    await update(repo, [
      ...[...tips].map(([ref, oid]) => `update refs/sessions/${id}/${ref} ${oid}`),
      ...(now === head ? [] : [`update ${branch} ${head}`]),
    ])
    this.#home.set(id, tips)
    if (session.headCommit !== head) await this.#runtime.store.change(id, { session: { headCommit: head } })
  }

  /** Tips that are in nobody's history any more, after an amend or a deleted branch: they are kept in the archive. */
  async #replaced(repo: string, before: Tips, others: readonly string[], tips: Tips): Promise<string[]> {
    const kept = new Set(tips.values())
    const left = [...before].filter(([, oid]) => !kept.has(oid))
    // A tag may be an object of its own, which is in no history.
    const tags = left.filter(([ref]) => ref.startsWith('tags/')).map(([, oid]) => oid)
    const commits = [...left.map(([, oid]) => oid), ...others].filter((oid) => !kept.has(oid) && !tags.includes(oid))
    if (commits.length === 0) return [...new Set(tags)]
    const { stdout } = await hostGit(repo, ['rev-list', '--stdin'], {
      input: [...commits, ...[...kept].map((tip) => `^${tip}`), ''].join('\n'),
    })
    const unreached = new Set(stdout.split('\n'))
    return [...new Set([...tags, ...commits.filter((oid) => unreached.has(oid))])]
  }

  async #oidOf(repo: string, ref: string): Promise<string | undefined> {
    const { stdout } = await hostGit(repo, ['rev-parse', '--quiet', '--verify', ref], { allowFailure: true })
    return stdout.trim() === '' ? undefined : stdout.trim()
  }

  async #readHome(id: string): Promise<Tips> {
    const prefix = `refs/sessions/${id}/`
    const { stdout } = await hostGit(this.#runtime.repoOf(id), [
      'for-each-ref',
      '--format=%(objectname) %(refname)',
      prefix,
    ])
    return new Map(
      stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [oid = '', ref = ''] = line.split(' ')
          return [ref.slice(prefix.length), oid]
        }),
    )
  }
}

async function update(repo: string, lines: readonly string[]): Promise<void> {
  const input = lines.filter((line) => line !== '').map((line) => `${line}\n`)
  if (input.length > 0) await hostGit(repo, ['update-ref', '--stdin'], { input: input.join('') })
}

function isSame(a: Tips, b: Tips): boolean {
  return a.size === b.size && [...a].every(([ref, oid]) => b.get(ref) === oid)
}

/** One sentence about why commits could not be brought home. */
export function describeFailure(error: unknown): string {
  return toAioError(error).message
}
