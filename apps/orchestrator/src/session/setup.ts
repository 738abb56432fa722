import { createHash, randomBytes } from 'node:crypto'
import { chown, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { pathExists } from '../disk/path-exists.ts'
import { run } from '../process/run.ts'
import type { ProjectPaths, ProjectRecord } from '../project/projects.ts'
import { INSIDE_BASE } from './base.ts'
import { objectsBind } from './binds.ts'
import type { HelperContainers } from './helper.ts'
import { unmount } from './mounts.ts'
import { AGENT_HOST_UID } from './uid-range.ts'

/** A build of all dependencies on a slow machine, in milliseconds. */
const DEADLINE_MS = 30 * 60_000
/** Of what a setup prints, this many last lines say why it failed; each is cut to so many characters. */
const KEPT_LINES = 20
const LINE_MAX_CHARS = 400
/** A setup that failed and may fail is not tried again before this has passed, in milliseconds. */
const RETRY_MS = 10 * 60_000

/** Each line as it stands in the file, told before it runs; the first that fails ends it. */
const SCRIPT = `exec 2>&1
for line; do printf '+ %s\\n' "$line"; sh -c "$line" </dev/null || exit; done`

/** What a project wants done once per base. */
export type Setup = Pick<ProjectRecord, 'id' | 'env' | 'setup' | 'setupOptional'>

/**
 * The directory below the bases that holds what a setup leaves, on top of a commit's base; `undefined` when the project
 * has no setup. Another commit, setup or environment has another one.
 */
export function setupLayerOf(commit: string, { setup, env }: Setup): string | undefined {
  if (setup === undefined) return undefined
  const variables = Object.entries(env ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const hash = createHash('sha256')
    .update(JSON.stringify([setup, variables]))
    .digest('hex')
  return `${commit}.setup-${hash.slice(0, 12)}`
}

/**
 * What setups leave: a layer on top of the base, made once in a container without network or secrets, and shared by all
 * sessions that start from that commit.
 */
export class SetupLayers {
  readonly #helpers: HelperContainers
  readonly #building = new Map<string, Promise<void>>()
  readonly #failed = new Map<string, { at: number; error: AioError }>()

  constructor(helpers: HelperContainers) {
    this.#helpers = helpers
  }

  /**
   * Makes sure that the layer of a commit is there, whose base must be; several requests at once run the setup once.
   *
   * @returns its directory below the bases, `undefined` when the project has no setup or it failed and may; then
   * `problem` says why.
   * @throws AioError EXEC_ERROR with the last lines of the setup when it failed and may not.
   */
  async require(
    paths: ProjectPaths,
    commit: string,
    project: Setup,
    steps?: Pick<Steps, 'signal' | 'progress'>,
  ): Promise<{ layer?: string; problem?: string }> {
    const layer = setupLayerOf(commit, project)
    if (layer === undefined) return {}
    const target = join(paths.bases, layer)
    try {
      await this.#once(target, async () => await this.#make(paths, { commit, layer, project, steps }), project)
      return { layer }
    } catch (error) {
      if (!(error instanceof AioError) || project.setupOptional !== true || steps?.signal.aborted === true) throw error
      return { problem: error.message }
    }
  }

  async #once(target: string, make: () => Promise<void>, project: Setup): Promise<void> {
    if (await pathExists(target)) return
    const failed = this.#failed.get(target)
    if (project.setupOptional === true && failed !== undefined && performance.now() - failed.at < RETRY_MS)
      throw failed.error
    const other = this.#building.get(target)
    const building = other ?? make()
    this.#building.set(target, building)
    try {
      await building
      this.#failed.delete(target)
    } catch (error) {
      const { code } = toAioError(error)
      // Whoever began it was told to stop; we were not.
      if (other !== undefined && code === 'CANCELLED') return await this.#once(target, make, project)
      if (error instanceof AioError && code === 'EXEC_ERROR') this.#failed.set(target, { at: performance.now(), error })
      throw error
    } finally {
      if (this.#building.get(target) === building) this.#building.delete(target)
    }
  }

  async #make(
    paths: ProjectPaths,
    job: { commit: string; layer: string; project: Setup; steps: Pick<Steps, 'signal' | 'progress'> | undefined },
  ): Promise<void> {
    const { commit, layer } = job
    const unfinished = join(paths.bases, `.building-${layer}-${randomBytes(4).toString('hex')}`)
    const merged = join(unfinished, 'merged')
    try {
      await mkdir(unfinished, { mode: 0o711 })
      for (const name of ['upper', 'work', 'merged', 'home']) await mkdir(join(unfinished, name), { mode: 0o755 })
      for (const name of ['upper', 'home']) await chown(join(unfinished, name), AGENT_HOST_UID, AGENT_HOST_UID)
      const layers = `lowerdir=../${commit},upperdir=upper,workdir=work`
      await run('mount', ['--no-mtab', '--types', 'overlay', '--options', `nosuid,nodev,${layers}`, 'aio', merged], {
        cwd: unfinished,
        errorCode: 'ISOLATION_UNAVAILABLE',
      })
      await this.#run(paths.repo, unfinished, job)
      await unmount(merged)
      for (const name of ['work', 'merged', 'home']) await removeTree(join(unfinished, name))
      // A power loss right after the rename must not leave empty files in something that is never looked at again.
      await run('sync', ['--file-system', '--', unfinished])
      await rename(unfinished, join(paths.bases, layer))
    } catch (error) {
      await unmount(merged)
      await removeTree(unfinished)
      throw error
    }
  }

  async #run(
    repo: string,
    directory: string,
    {
      commit,
      project,
      steps,
    }: { commit: string; project: Setup; steps: Pick<Steps, 'signal' | 'progress'> | undefined },
  ): Promise<void> {
    const kept: string[] = []
    const { exitCode, stderr } = await this.#helpers.run({
      argv: ['/bin/sh', '-c', SCRIPT, 'setup', ...(project.setup ?? [])],
      cwd: INSIDE_BASE,
      binds: [
        { source: join(directory, 'merged'), destination: INSIDE_BASE, isWritable: true },
        { source: join(directory, 'home'), destination: '/home/agent', isWritable: true },
        objectsBind(repo),
      ],
      ...(project.env === undefined ? {} : { env: project.env }),
      deadlineMs: DEADLINE_MS,
      onOutput: async (stdout) => {
        const stop = () => stdout.destroy(toError(steps?.signal.reason))
        steps?.signal.addEventListener('abort', stop, { once: true })
        try {
          let rest = ''
          for await (const text of stdout.setEncoding('utf8')) {
            const lines = `${rest}${text}`.split('\n')
            rest = (lines.pop() ?? '').slice(-LINE_MAX_CHARS)
            kept.push(...lines.slice(-KEPT_LINES).map(plain))
            kept.splice(0, kept.length - KEPT_LINES)
            const last = kept.at(-1)
            if (last !== undefined) steps?.progress(undefined, `Setup: ${last}`)
          }
          if (rest !== '') kept.push(plain(rest))
          steps?.signal.throwIfAborted()
        } finally {
          steps?.signal.removeEventListener('abort', stop)
        }
      },
    })
    if (exitCode === 0) return
    const said = [...kept, ...(stderr === '' ? [] : [stderr.trim().slice(-LINE_MAX_CHARS)])]
    throw new AioError(
      'EXEC_ERROR',
      `The setup of ${project.id} failed with status ${exitCode} at commit ${commit.slice(0, 12)} (it has no network). Its last lines:\n${said.join('\n')}\nMend it with \`aio projects set ${project.id} --setup …\`, or let sessions start without it: --setup-optional.`,
      { details: { lines: said } },
    )
  }
}

/** What a terminal would show of a line: the last part of what was overwritten, without control characters. */
function plain(line: string): string {
  const shown = line.split('\r').findLast((part) => part !== '') ?? ''
  return (
    shown
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
      .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f]/g, '')
      .slice(0, LINE_MAX_CHARS)
  )
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new AioError('CANCELLED', 'The command was cancelled.')
}

async function removeTree(path: string): Promise<void> {
  await run('rm', ['-rf', '--one-file-system', '--', path])
}
