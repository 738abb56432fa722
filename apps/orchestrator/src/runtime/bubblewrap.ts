import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { AioError } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { type HostProcess, isAlive, readOrUndefined, startTimeOf } from '../session/host-process.ts'
import { bubblewrapScript } from './bubblewrap-script.ts'
import { type Bundle, bundleSchema } from './bundle.ts'
import type { Container, ContainerRuntime, RunOptions } from './container-runtime.ts'
import { ProcessTrees } from './process-trees.ts'
import { compileSeccompFilter } from './seccomp-filter.ts'

const ENTER = fileURLToPath(new URL('./enter-sandbox.pl', import.meta.url))
/** Under AIO_RUN: a directory for each container. */
const DIRECTORY = 'bubblewrap'
/** Longest a killed container may take to end, in milliseconds. */
const END_MS = 10_000
/** Numbers of `setns`, `setgroups`, `setresgid`, `setresuid` and `prctl`, which each architecture has its own of. */
const SYSTEM_CALLS: Partial<Record<NodeJS.Architecture, readonly number[]>> = {
  x64: [308, 116, 119, 117, 157],
  arm64: [268, 159, 149, 147, 167],
}

const childSchema = z.object({ 'child-pid': z.number().int().positive() })

/** What an earlier orchestrator runs in bubblewrap, whatever this one uses. */
export async function bubblewrapContainers(aioRun: string): Promise<Container[]> {
  return existsSync(join(aioRun, DIRECTORY)) ? await (await Bubblewrap.open(aioRun)).list() : []
}

/**
 * Containers in bubblewrap, for a machine whose runc cannot be used: every namespace of its own, no capabilities, the same
 * system call filter, and no control groups, so that memory and processor are not limited. Needs root as runc does, and
 * runs everything as the user of the session's own range.
 */
export class Bubblewrap implements ContainerRuntime {
  readonly groups: ProcessTrees
  readonly #root: string
  readonly #filter: string | undefined
  readonly #bundles = new Map<string, Bundle>()

  /** @param seccomp the profile of sessions; @param groupPrefix what names of control groups begin with. */
  static async open(aioRun: string, seccomp?: Record<string, unknown>, groupPrefix = ''): Promise<Bubblewrap> {
    const root = join(aioRun, DIRECTORY)
    await mkdir(root, { recursive: true, mode: 0o700 })
    const filter = seccomp === undefined ? undefined : compileSeccompFilter(seccomp)
    const path = join(root, '.filter')
    if (filter !== undefined) await writeFile(path, filter, { mode: 0o600 })
    return new Bubblewrap(root, filter === undefined ? undefined : path, groupPrefix)
  }

  private constructor(root: string, filter: string | undefined, groupPrefix: string) {
    this.#root = root
    this.#filter = filter
    this.groups = new ProcessTrees((group) => {
      const id = group.slice(groupPrefix.length)
      const init = this.#init(id)
      return init === undefined ? undefined : { init, frozenFile: join(root, id, 'frozen') }
    })
  }

  async runArgv(id: string, bundle: string, options: RunOptions = {}): Promise<string[]> {
    const directory = join(this.#root, id)
    const text = await readFile(join(bundle, 'config.json'), 'utf8')
    const config = bundleSchema.parse(JSON.parse(text))
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { mode: 0o700 })
    const preservedFds = options.preservedFds ?? 0
    const files = {
      preservedFds,
      status: this.#statusFile(id),
      ...(this.#filter === undefined ? {} : { filter: this.#filter }),
    }
    await writeFile(join(directory, 'config.json'), text, { mode: 0o600 })
    await writeFile(join(directory, 'run.sh'), bubblewrapScript(config, files), { mode: 0o600 })
    this.#bundles.delete(id)
    return ['bash', join(directory, 'run.sh')]
  }

  /** @throws AioError NOT_RUNNING when the container has ended. */
  execArgv(id: string, argv: readonly string[], cwd: string): string[] {
    const init = this.#init(id)
    const calls = SYSTEM_CALLS[process.arch]
    if (init === undefined || calls === undefined)
      throw new AioError('NOT_RUNNING', `Nothing runs in ${id}, so nothing can be run in it.`)
    const { process: spec, uid, rlimits } = this.#bundle(id)
    const numbers = [...calls, init.pid, init.startTime, uid + spec.user.uid].map(String)
    return [
      ...['prlimit', ...rlimits.map(({ option, value }) => `--${option}=${value}`), '--'],
      ...['perl', ENTER, ...numbers, this.#filter ?? '', cwd],
      ...['/usr/bin/env', '-i', ...spec.env, ...argv],
    ]
  }

  started(id: string): HostProcess | undefined {
    const { pid, hasRun } = this.#status(id)
    if (pid === undefined) return undefined
    const startTime = startTimeOf(pid)
    // Without an exit code it failed before it came to run anything, and says so on its terminal.
    if (startTime === undefined) return hasRun ? { pid, startTime: '' } : undefined
    return readOrUndefined(`/proc/${pid}/comm`)?.trim() === 'bwrap' ? undefined : { pid, startTime }
  }

  async list(): Promise<Container[]> {
    return readdirSync(this.#root)
      .filter((name) => !name.startsWith('.'))
      .map((id) => {
        const pid = this.#init(id)?.pid ?? 0
        return { id, pid, status: pid === 0 ? 'stopped' : 'running' }
      })
  }

  /** @throws AioError EXEC_ERROR when its first process does not end, which is stuck in the kernel then. */
  async delete(id: string): Promise<void> {
    const init = this.#init(id)
    if (init !== undefined) {
      process.kill(init.pid, 'SIGKILL')
      const deadline = performance.now() + END_MS
      while (isAlive(init)) {
        if (performance.now() > deadline) throw new AioError('EXEC_ERROR', `The container ${id} could not be ended.`)
        await sleep(5)
      }
    }
    this.#bundles.delete(id)
    await rm(join(this.#root, id), { recursive: true, force: true })
  }

  /** Only the session's user exists: one id inside, one outside. */
  idMap(uidBase: number): string {
    return `1000 ${uidBase + 1_000} 1`
  }

  stateFile(): undefined {
    return undefined
  }

  #statusFile(id: string): string {
    return join(this.#root, id, 'status')
  }

  /** What bubblewrap said: one JSON object for the first process, and one with its exit code if it came to run. */
  #status(id: string): { pid: number | undefined; hasRun: boolean } {
    const text = readOrUndefined(this.#statusFile(id)) ?? ''
    const first = text.slice(0, text.indexOf('}') + 1).trim()
    const pid = first === '' ? undefined : childSchema.parse(JSON.parse(first))['child-pid']
    return { pid, hasRun: text.includes('"exit-code"') }
  }

  /** Its first process while that lives. A pid that went to someone else is in no process namespace but the host's. */
  #init(id: string): HostProcess | undefined {
    const { pid, hasRun } = this.#status(id)
    if (pid === undefined || hasRun) return undefined
    const startTime = startTimeOf(pid)
    const inner = /^NSpid:\s.*\s(\d+)$/m.exec(readOrUndefined(`/proc/${pid}/status`) ?? '')?.[1]
    return startTime === undefined || inner !== '1' ? undefined : { pid, startTime }
  }

  #bundle(id: string): Bundle {
    const known = this.#bundles.get(id)
    if (known !== undefined) return known
    const text = readOrUndefined(join(this.#root, id, 'config.json'))
    if (text === undefined) throw new AioError('NOT_RUNNING', `The container ${id} does not exist.`)
    const bundle = bundleSchema.parse(JSON.parse(text))
    this.#bundles.set(id, bundle)
    return bundle
  }
}
