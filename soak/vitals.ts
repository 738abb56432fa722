import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

/** What a process holds after garbage collection. */
export interface Sample {
  atMs: number
  rssBytes: number
  heapBytes: number
  timers: number
  fds: number
}

/** How one process went from its middle to its end. */
export interface Trend {
  process: string
  minutes: number
  heapMb: { before: number; after: number }
  rssMb: { before: number; after: number }
  fds: { before: number; after: number }
  timers: { before: number; after: number }
  problems: string[]
}

const ANSWER_WITHIN_MS = 2_000 // a frozen process does not answer
const SAMPLES_MIN = 9 // three to forget, three to begin with, three to end with

/** More than this is no noise: garbage collection leaves some, and clients come and go. */
const HEAP_GROWTH_MB = 8
const FD_GROWTH = 8
const TIMER_GROWTH = 64

/** Asks processes now and then what they hold, and says whether it grows. */
export class Vitals implements AsyncDisposable {
  readonly #directory: string
  readonly #samples = new Map<string, Sample[]>()

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async open(): Promise<Vitals> {
    return new Vitals(await mkdtemp(join(tmpdir(), 'aio-vitals-')))
  }

  /** What Node is to be started with for a process to be asked. */
  get nodeArgs(): string[] {
    const probe = pathToFileURL(join(import.meta.dirname, 'probe.ts'))
    probe.searchParams.set('to', this.#directory)
    return ['--expose-gc', '--import', probe.href]
  }

  /** Asks a process; without an answer, as from one that is frozen, it has no sample. */
  async sample(name: string, pid: number): Promise<void> {
    const path = join(this.#directory, `${pid}.json`)
    await rm(path, { force: true })
    try {
      await stat(join(this.#directory, `${pid}.ready`))
      process.kill(pid, 'SIGUSR2')
      const held = await answerIn(path)
      const fds = (await readdir(`/proc/${pid}/fd`)).length
      const key = `${name} (pid ${pid})`
      this.#samples.set(key, [...(this.#samples.get(key) ?? []), { atMs: performance.now(), fds, ...held }])
    } catch (error) {
      if (!(error instanceof Error)) throw error // killed, or silent, on purpose
    }
  }

  /** Every process that lived long enough, after its first third, in which caches fill. */
  trends(): Trend[] {
    return [...this.#samples]
      .filter(([, samples]) => samples.length >= SAMPLES_MIN)
      .map(([process, samples]) => trendOf(process, samples))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
  }
}

async function answerIn(path: string): Promise<Omit<Sample, 'atMs' | 'fds'>> {
  const deadline = performance.now() + ANSWER_WITHIN_MS
  for (;;) {
    try {
      return JSON.parse(await readFile(path, 'utf8'))
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(20)
    }
  }
}

function trendOf(process: string, all: readonly Sample[]): Trend {
  const third = Math.floor(all.length / 3)
  const [begin, end] = [all.slice(third, 2 * third), all.slice(-third)]
  const change = (of: (sample: Sample) => number) => ({ before: median(begin.map(of)), after: median(end.map(of)) })
  const megabytes = (bytes: number) => Math.round(bytes / 100_000) / 10
  const heapMb = change(({ heapBytes }) => megabytes(heapBytes))
  const rssMb = change(({ rssBytes }) => megabytes(rssBytes))
  const fds = change((sample) => sample.fds)
  const timers = change((sample) => sample.timers)
  const problems = [
    ...(heapMb.after - heapMb.before > HEAP_GROWTH_MB
      ? [`memory grew from ${heapMb.before} to ${heapMb.after} MB`]
      : []),
    ...(fds.after - fds.before > FD_GROWTH ? [`file descriptors grew from ${fds.before} to ${fds.after}`] : []),
    ...(timers.after - timers.before > TIMER_GROWTH ? [`timers grew from ${timers.before} to ${timers.after}`] : []),
  ]
  const minutes = Math.round((((all.at(-1)?.atMs ?? 0) - (all[0]?.atMs ?? 0)) / 60_000) * 10) / 10
  return { process, minutes, heapMb, rssMb, fds, timers, problems }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}
