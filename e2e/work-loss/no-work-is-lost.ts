import { createHash, randomBytes } from 'node:crypto'
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type Archive, type Client, type Session } from '@ai-orchestration/sdk'
import fc from 'fast-check'
import { exec, type Platform, until } from '../harness/platform.ts'
import { differences, fingerprint, withoutTime } from './fingerprint.ts'
import { type Condition, conditions, type Deed, type Removal, removals, workspaceStates } from './workspace-states.ts'

/** How often and with which choices the property is tried. */
export interface Trials {
  runs: number
  /** Makes a run again; it is part of a failure's message. */
  seed: number
}

/**
 * D-01: whatever an agent did to its workspace, in whatever condition its session is, and by whichever way it is removed:
 * without `force` a removal is refused and changes nothing, or it loses nothing; with `force` a restored session is what
 * the removed one was, byte for byte.
 *
 * @throws with the smallest state found for which that is not so, and the seed.
 */
export async function noWorkIsLost(platform: Platform, { runs, seed }: Trials): Promise<void> {
  await using client = platform.client()
  const source = await makeSource(platform.home)
  const property = fc.asyncProperty(workspaceStates, conditions, removals, async (deeds, condition, removal) => {
    await using trial = await Trial.begin(platform, client, source)
    await trial.run(deeds, condition, removal)
  })
  await fc.assert(property, { numRuns: runs, seed, interruptAfterTimeLimit: runs * 60_000, maxSkipsPerRun: 0 })
}

/** A project and a session of its own, from creation to removal and back. */
class Trial implements AsyncDisposable {
  readonly #platform: Platform
  readonly #client: Client
  readonly #source: string
  readonly #projectId: string
  readonly #session: Session

  static async begin(platform: Platform, client: Client, source: string): Promise<Trial> {
    const projectId = `p-${randomBytes(4).toString('hex')}`
    await client.projects.create.mutate({ name: projectId, repoUrl: source })
    const session = await client.sessions.create.mutate({ projectId, name: 'one', agent: 'shell' })
    return new Trial(platform, client, source, session)
  }

  private constructor(platform: Platform, client: Client, source: string, session: Session) {
    this.#platform = platform
    this.#client = client
    this.#source = source
    this.#session = session
    this.#projectId = session.projectId
  }

  async run(deeds: readonly Deed[], condition: Condition, removal: Removal): Promise<void> {
    for (const { script } of deeds) await this.#inside(script)
    const commits = await this.#commits()
    const before = fingerprint(this.#worktree)
    await this.#bringInto(condition)
    const refusal = await this.#refused(removal)
    if (refusal === undefined) return this.#expectNothingLost(before, commits)
    const after = await this.#mounted()
    assertSame('A refused removal changed something', before, after)
    const index = await this.#index()
    const archive = await this.#remove(removal)
    if (removal !== 'terminate') await this.#client.projects.create.mutate(this.#projectInput(removal))
    await this.#client.sessions.restore.mutate({ archiveId: archive.id, isStopped: true })
    // In a project made again, what the session had not touched is checked out anew: at another time, in another index.
    const compare = removal === 'terminate' ? (all: Map<string, string>) => all : withoutCheckout
    assertSame('The restored session differs', compare(before), compare(fingerprint(this.#worktree)))
    if ((await this.#index()) !== index) throw new Error('The index of the restored session differs.')
    await this.#expectCommits(commits, 'restored')
  }

  /** Takes away what is left, so that a thousand trials do not pile up. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.projects.delete.mutate({ projectId: this.#projectId, force: true }).catch((error: AioError) => {
      if (error.code !== 'NOT_FOUND') throw error
    })
  }

  get #worktree(): string {
    return join(this.#platform.projectsDir, this.#projectId, this.#session.id)
  }

  get #repo(): string {
    return join(this.#platform.projectsDir, this.#projectId, '.repo')
  }

  /** What the index lists, read from a copy of it. */
  async #index(): Promise<string> {
    const copy = join(this.#platform.home, 'index-copy')
    await copyFile(join(this.#worktree, '.git/index'), copy).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      await rm(copy, { force: true })
    })
    return await exec('git', ['-C', this.#repo, 'ls-files', '-s', '-v', '-z'], { GIT_INDEX_FILE: copy })
  }

  async #inside(script: string): Promise<string> {
    await using run = this.#client.exec(this.#session.id, ['sh', '-c', script])
    const chunks: Uint8Array[] = []
    for await (const { type, data } of run) if (type === 'stdout') chunks.push(data)
    await run.exit
    return Buffer.concat(chunks).toString()
  }

  /** Every commit that git inside would still find, and every tag that is an object of its own. */
  async #commits(): Promise<string[]> {
    const listed = await this.#inside(
      "git rev-list --reflog --all HEAD 2>/dev/null || git rev-list --reflog --all; git stash list --format=%H; git for-each-ref --format='%(objectname)'",
    )
    return [...new Set(listed.split('\n').filter((line) => /^[0-9a-f]{40}$/.test(line)))]
  }

  async #bringInto(condition: Condition): Promise<void> {
    const name = `claude-${this.#session.id}`
    const runc = ['--root', join(this.#platform.aioRun, 'runc')]
    switch (condition) {
      case 'running':
        return
      case 'frozen':
        await exec('runc', [...runc, 'pause', name])
        return
      case 'pids exhausted':
        await this.#inside('i=0; while [ $i -lt 600 ]; do sleep 600 & i=$((i + 1)); done >/dev/null 2>&1; :')
        return
      case 'container killed':
      case 'workspace unmounted': {
        await exec('runc', [...runc, 'kill', name, 'KILL'])
        await until(async () => (await this.#state()) !== 'running', 30_000)
        if (condition === 'workspace unmounted') await exec('umount', ['-l', this.#worktree])
        return
      }
      default:
        condition satisfies never
    }
  }

  async #state(): Promise<string> {
    return (await this.#client.sessions.get.query({ sessionId: this.#session.id })).state
  }

  /** Tries to remove it without force. A project with a session is always refused, so that needs no state. */
  async #refused(removal: Removal): Promise<AioError | undefined> {
    try {
      if (removal === 'terminate') await this.#client.sessions.terminate.mutate({ sessionId: this.#session.id })
      else await this.#client.projects.delete.mutate({ projectId: this.#projectId })
      return undefined
    } catch (error) {
      if (error instanceof AioError && error.code === 'WORK_AT_RISK') return error
      throw error
    }
  }

  /** The workspace as it is, also when the helper that looked at it was the last to mount it. */
  async #mounted(): Promise<Map<string, string>> {
    return fingerprint(this.#worktree)
  }

  async #remove(removal: Removal): Promise<Archive> {
    if (removal === 'terminate') {
      const { archive } = await this.#client.sessions.terminate.mutate({ sessionId: this.#session.id, force: true })
      if (archive === undefined) throw new Error('What was refused for its work was then removed without an archive.')
      return archive
    }
    const { sessions } = await this.#client.projects.delete.mutate({ projectId: this.#projectId, force: true })
    const [archive] = sessions ?? []
    if (archive === undefined) throw new Error('A project was deleted without an archive of its session.')
    return archive
  }

  #projectInput(removal: Removal) {
    // The second has none of its commits, as when its origin has been lost.
    return { name: this.#projectId, ...(removal === 'delete the project' ? { repoUrl: this.#source } : {}) }
  }

  /** It was removed without an archive: then its branch holds every file, and `.repo` every commit. */
  async #expectNothingLost(before: Map<string, string>, commits: readonly string[]): Promise<void> {
    const branch = `feature/${this.#session.name}`
    const tree = await exec('git', ['-C', this.#repo, 'ls-tree', '-rz', '--full-tree', branch])
    const kept = new Map(
      tree
        .split('\0')
        .filter((line) => line !== '')
        .map((line) => [`/${line.slice(line.indexOf('\t') + 1)}`, line.split(' ')[2]?.slice(0, 40)]),
    )
    for (const [name, facts] of before) {
      const isFile = facts.startsWith('8 ') || facts.startsWith('link ')
      if (!isFile || name.startsWith('/.git/') || name.includes('/node_modules/')) continue
      const path = Buffer.from(name, 'latin1').toString()
      if (!kept.has(path)) throw new Error(`${name} was lost without force.`)
      if (facts.startsWith('8 ')) {
        const blob = await exec('git', ['-C', this.#repo, 'cat-file', 'blob', kept.get(path) ?? ''])
        if (!facts.endsWith(createHash('sha256').update(blob).digest('hex')))
          throw new Error(`What ${name} held was lost without force.`)
      }
    }
    await this.#expectCommits(commits, 'removed without force')
  }

  async #expectCommits(commits: readonly string[], how: string): Promise<void> {
    for (const commit of commits)
      await exec('git', ['-C', this.#repo, 'cat-file', '-e', commit]).catch(() => {
        throw new Error(`Commit ${commit} of a session that was ${how} is not in the project's repository.`)
      })
  }
}

function withoutCheckout(all: Map<string, string>): Map<string, string> {
  return new Map([...all].filter(([name]) => name !== '/.git/index').map(([name, facts]) => [name, withoutTime(facts)]))
}

function assertSame(what: string, before: Map<string, string>, after: Map<string, string>): void {
  const found = differences(before, after)
  if (found.length > 0) throw new Error(`${what}:\n${found.slice(0, 20).join('\n')}`)
}

async function makeSource(home: string): Promise<string> {
  const path = join(home, 'work-loss-source')
  await mkdir(join(path, 'dir'), { recursive: true })
  const files = { 'a.txt': 'one\n', 'dir/b.txt': 'two\n', 'c.txt': 'three\n', '.gitignore': '*.log\nnode_modules\n' }
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content)
  const git = async (...args: string[]) =>
    await exec('git', ['-C', path, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args])
  await git('init', '-q', '-b', 'main')
  await git('add', '-A')
  await git('commit', '-qm', 'first')
  await git('tag', 'v1')
  return path
}
