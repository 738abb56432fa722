import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, type Archive, parseSessionId, sessionOfArchive, sessionSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { syncDirectory, writeFileDurably } from '../disk/write-file-durably.ts'
import type { Logger } from '../log.ts'
import { run } from '../process/run.ts'

const MAKING_PREFIX = '.making-'
const DAY_MS = 86_400_000
/** A directory that a deleted project was moved to. */
const PROJECT = /^[a-z0-9-]+-\d{4}-\d{2}-\d{2}T[\d.]+Z$/

const contentSchema = z.object({
  /** As it was when it was archived. */
  session: sessionSchema,
  layer: z.object({
    sha256: z.string(),
    bytes: z.number(),
    /** Regular files in it; `files.json` names each with its hash. */
    files: z.number(),
  }),
  /** What the layer lies on besides its base: what the project's setup left; absent when there was none. */
  setup: z.string().optional(),
  /** Absent when all commits are the origin's. */
  bundle: z.object({ sha256: z.string(), bytes: z.number() }).optional(),
  /** Where each reference of `.repo` that keeps commits points. */
  commits: z.record(z.string(), z.string()),
})

/** What an archive holds, as its manifest says. */
export type ArchiveContent = z.output<typeof contentSchema>

const manifestSchema = contentSchema.extend({ id: z.string(), createdAt: z.iso.datetime() })

/** Name of a moment in references and archives: UTC to the millisecond, without separators. */
export function stampOf(date: Date): string {
  return date.toISOString().replace(/[-:.]/g, '')
}

/** One archive and where it lies. */
export interface FoundArchive extends ArchiveContent {
  archive: Archive
  directory: string
}

/**
 * The archives of removed sessions, outside of all projects: `{sessionId}/{time}/` holds the layer, the commits and a
 * manifest, and appears at once or not at all.
 */
export class Archives {
  readonly #dir: string
  readonly #keptDays: number
  readonly #now: () => Date
  readonly #uptimeMs: () => number
  /** What was found to be older than it must be kept, and when that was, by a clock that nobody sets. */
  readonly #overdue = new Map<string, number>()

  constructor(options: { dir: string; keptDays: number; now: () => Date; uptimeMs?: () => number }) {
    this.#dir = options.dir
    this.#keptDays = options.keptDays
    this.#now = options.now
    this.#uptimeMs = options.uptimeMs ?? (() => performance.now())
  }

  /**
   * Adds an archive once `fill` has written all of it but the manifest.
   *
   * @throws what `fill` throws; nothing is left then.
   */
  async add(
    sessionId: string,
    fill: (directory: string, createdAt: Date) => Promise<ArchiveContent>,
  ): Promise<Archive> {
    const createdAt = this.#now()
    const stamp = stampOf(createdAt)
    const parent = join(this.#dir, sessionId)
    await mkdir(parent, { recursive: true, mode: 0o700 })
    const unfinished = join(this.#dir, `${MAKING_PREFIX}${sessionId}-${stamp}`)
    try {
      const content = await fill(unfinished, createdAt)
      const manifest = { id: `${sessionId}/${stamp}`, createdAt: createdAt.toISOString(), ...content }
      await writeFileDurably(join(unfinished, 'manifest.json'), `${JSON.stringify(manifest, undefined, 1)}\n`, 0o600)
      await rename(unfinished, join(parent, stamp))
      for (const directory of [parent, this.#dir, join(this.#dir, '..')]) await syncDirectory(directory)
      return this.#describe(manifest)
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true })
      throw error
    }
  }

  /** All archives, or those of one project, newest first; one that cannot be read is left out and told to `log`. */
  async list(log: Logger, projectId?: string): Promise<Archive[]> {
    const found: Archive[] = []
    for (const sessionId of await namesIn(this.#dir)) {
      const parsed = parseSessionId(sessionId)
      if (parsed === undefined || (projectId !== undefined && parsed.projectId !== projectId)) continue
      for (const stamp of await namesIn(join(this.#dir, sessionId))) {
        try {
          found.push((await this.#read(`${sessionId}/${stamp}`)).archive)
        } catch (error) {
          log.error({ archive: `${sessionId}/${stamp}`, err: error }, 'an archive cannot be read')
        }
      }
    }
    return found.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
  }

  /** One archive, by its id or a beginning of it, of which the latest counts. @throws AioError NOT_FOUND; EXEC_ERROR. */
  async find(name: string): Promise<FoundArchive> {
    const sessionId = sessionOfArchive(name)
    const beginning = name.slice(sessionId.length + 1)
    const stamps = (await namesIn(join(this.#dir, sessionId))).filter((stamp) => stamp.startsWith(beginning)).sort()
    const stamp = stamps.at(-1)
    if (stamp === undefined)
      throw new AioError(
        'NOT_FOUND',
        `There is no archive ${name} on this machine. \`aio sessions archives\` lists all.`,
      )
    return await this.#read(`${sessionId}/${stamp}`)
  }

  /** Directories of deleted projects of this name, newest first: what an archive's commits build on may be there. */
  async projectDirectories(projectId: string): Promise<string[]> {
    const names = await namesIn(join(this.#dir, 'projects'))
    return names
      .filter((name) => PROJECT.test(name) && name.replace(/-\d{4}-\d{2}-\d{2}T[\d.]+Z$/, '') === projectId)
      .sort()
      .reverse()
      .map((name) => join(this.#dir, 'projects', name))
  }

  /** Removes what was cut off while it was made; what it was to keep is still in its session. */
  async removeUnfinished(): Promise<void> {
    for (const directory of [this.#dir, join(this.#dir, 'projects')])
      for (const name of await namesIn(directory))
        if (name.startsWith(MAKING_PREFIX)) await removeTree(join(directory, name))
  }

  /**
   * Removes archives and deleted projects that are older than they must be kept. Each must be found so twice, a day of
   * this machine's running apart, because a clock that jumps ahead would otherwise remove all of them (D-2).
   *
   * @returns what was removed.
   */
  async prune(log: Logger): Promise<string[]> {
    const dueBefore = this.#now().getTime() - this.#keptDays * DAY_MS
    const overdue: string[] = []
    for (const { id, createdAt } of await this.list(log))
      if (Date.parse(createdAt) < dueBefore) overdue.push(join(this.#dir, id))
    for (const name of await namesIn(join(this.#dir, 'projects'))) {
      const path = join(this.#dir, 'projects', name)
      if (PROJECT.test(name) && (await stat(path)).ctimeMs < dueBefore) overdue.push(path)
    }
    const removed: string[] = []
    for (const known of this.#overdue.keys()) if (!overdue.includes(known)) this.#overdue.delete(known)
    for (const path of overdue) {
      const since = this.#overdue.get(path) ?? this.#uptimeMs()
      this.#overdue.set(path, since)
      if (this.#uptimeMs() - since < DAY_MS) continue
      await removeTree(path)
      this.#overdue.delete(path)
      removed.push(path)
      log.info({ path, keptDays: this.#keptDays }, 'an archive was removed because of its age')
    }
    return removed
  }

  async #read(id: string): Promise<FoundArchive> {
    const directory = join(this.#dir, id)
    const path = join(directory, 'manifest.json')
    const parsed = manifestSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
    if (!parsed.success || parsed.data.id !== id)
      throw new AioError('EXEC_ERROR', `${path} is not the manifest of an archive that this version can read.`)
    return { ...parsed.data, directory, archive: this.#describe(parsed.data) }
  }

  #describe({ id, createdAt, session, layer, bundle, commits }: z.output<typeof manifestSchema>): Archive {
    return {
      id,
      sessionId: session.id,
      projectId: session.projectId,
      ...(session.title === undefined ? {} : { title: session.title }),
      agent: session.agent,
      branch: session.branch,
      createdAt,
      keptUntil: new Date(Date.parse(createdAt) + this.#keptDays * DAY_MS).toISOString(),
      bytes: layer.bytes + (bundle?.bytes ?? 0),
      sha256: layer.sha256,
      refs: Object.keys(commits),
    }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

async function removeTree(path: string): Promise<void> {
  await run('rm', ['-rf', '--one-file-system', '--', path])
}
