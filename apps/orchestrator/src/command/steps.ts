import type { Step } from '@ai-orchestration/protocol'
import { toAioError } from '@ai-orchestration/protocol'

/** What a command uses to report its steps and to have them undone when it fails. */
export interface Steps {
  /** Aborted when the command is cancelled or runs out of time. */
  readonly signal: AbortSignal
  /**
   * Runs one step and reports it. Steps may run side by side. `undo` is called for every step that has started, last
   * first, when the command fails; it must do no harm when there is nothing to undo.
   */
  run<T>(name: string, action: () => Promise<T>, undo?: () => Promise<void>): Promise<T>
  /** Reports progress within the command; `percent` runs from 0 to 100. What comes too fast is left out. */
  progress(percent: number | undefined, message: string): void
}

/** What {@link StepList} reports. */
export interface StepReport {
  progress?: number
  message?: string
  step?: Step
}

interface Started {
  name: string
  undo: (() => Promise<void>) | undefined
  settled: Promise<unknown>
  isDone: boolean
}

/** Progress is reported at most this often, in milliseconds: each report is an event that everyone who watches receives. */
const PROGRESS_INTERVAL_MS = 250

/** Steps of one run of a command. */
export class StepList implements Steps {
  readonly signal: AbortSignal
  readonly #report: (report: StepReport) => void
  readonly #now: () => number
  #progressAt = Number.NEGATIVE_INFINITY
  readonly #started: Started[] = []

  constructor(signal: AbortSignal, report: (report: StepReport) => void, now: () => number = () => performance.now()) {
    this.signal = signal
    this.#report = report
    this.#now = now
  }

  async run<T>(name: string, action: () => Promise<T>, undo?: () => Promise<void>): Promise<T> {
    this.signal.throwIfAborted()
    const startedAt = this.#now()
    this.#report({ step: { name, state: 'running' } })
    const running = action()
    const started: Started = { name, undo, settled: running.catch(() => undefined), isDone: false }
    this.#started.push(started)
    try {
      const result = await running
      started.isDone = true
      this.#report({ step: { name, state: 'done', ms: this.#since(startedAt) } })
      return result
    } catch (error) {
      this.#report({
        step: { name, state: 'failed', ms: this.#since(startedAt), detail: toAioError(error).message.slice(0, 500) },
      })
      throw error
    }
  }

  progress(percent: number | undefined, message: string): void {
    const now = this.#now()
    if (now - this.#progressAt < PROGRESS_INTERVAL_MS) return
    this.#progressAt = now
    this.#report({ message, ...(percent === undefined ? {} : { progress: Math.min(100, Math.max(0, percent)) }) })
  }

  /** Names of the steps that came to their end, in the order in which they were started. */
  completed(): string[] {
    return this.#started.filter(({ isDone }) => isDone).map(({ name }) => name)
  }

  /**
   * Undoes every step that has started, last first, after those that still run have settled.
   *
   * @returns what could not be undone, one sentence each; empty when everything was.
   */
  async undo(): Promise<string[]> {
    const problems: string[] = []
    for (const { name, undo, settled } of this.#started.splice(0).reverse()) {
      await settled
      if (undo === undefined) continue
      try {
        await undo()
        this.#report({ step: { name, state: 'undone' } })
      } catch (error) {
        problems.push(`${name} could not be undone: ${toAioError(error).message}`)
      }
    }
    return problems
  }

  #since(startedAt: number): number {
    return Math.round(this.#now() - startedAt)
  }
}
