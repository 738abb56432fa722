import type { Usage } from '@ai-orchestration/protocol'
import type { Prices } from './prices.ts'
import type { TurnUsage } from './turn-usage.ts'

/** Between two tellings of one session, in milliseconds: each is written to disk and goes to everyone who watches. */
const TELL_MS = 2_000

const NOTHING: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  turns: 0,
  unpricedTurns: 0,
}

/** What each session has used, counted from the model's answers. */
export class UsageBook implements Disposable {
  readonly #prices: Prices
  readonly #tell: (sessionId: string, usage: Usage) => void
  readonly #usages = new Map<string, Usage>()
  readonly #timers = new Map<string, NodeJS.Timeout>()

  /** @param options `tell` is called soon after a change, at most every two seconds for a session, and at the end. */
  constructor(options: { prices: Prices; tell: (sessionId: string, usage: Usage) => void }) {
    this.#prices = options.prices
    this.#tell = options.tell
  }

  /** Goes on from what a session had used before; without effect when it is counted already. */
  resume(sessionId: string, usage: Usage | undefined): void {
    if (!this.#usages.has(sessionId)) this.#usages.set(sessionId, usage ?? NOTHING)
  }

  /** Counts an answered call. */
  add(sessionId: string, turn: TurnUsage): void {
    const before = this.of(sessionId)
    const cost = this.#prices.of(turn)
    const costUsd = cost === undefined ? before.costUsd : (before.costUsd ?? 0) + cost
    this.#usages.set(sessionId, {
      inputTokens: before.inputTokens + turn.inputTokens,
      outputTokens: before.outputTokens + turn.outputTokens,
      cacheReadTokens: before.cacheReadTokens + turn.cacheReadTokens,
      cacheWriteTokens: before.cacheWriteTokens + turn.cacheWriteTokens,
      turns: before.turns + 1,
      unpricedTurns: before.unpricedTurns + (cost === undefined ? 1 : 0),
      ...(costUsd === undefined ? {} : { costUsd }),
      ...(turn.model === undefined ? {} : { model: turn.model }),
    })
    if (!this.#timers.has(sessionId))
      this.#timers.set(sessionId, setTimeout(() => this.#flush(sessionId), TELL_MS).unref())
  }

  /** What a session has used so far. */
  of(sessionId: string): Usage {
    return this.#usages.get(sessionId) ?? NOTHING
  }

  /** Tells what waits of a session. */
  flush(sessionId: string): void {
    if (this.#timers.has(sessionId)) this.#flush(sessionId)
  }

  /** Tells what waits. */
  [Symbol.dispose](): void {
    for (const sessionId of [...this.#timers.keys()]) this.#flush(sessionId)
  }

  #flush(sessionId: string): void {
    clearTimeout(this.#timers.get(sessionId))
    this.#timers.delete(sessionId)
    this.#tell(sessionId, this.of(sessionId))
  }
}

/** All tokens of a usage together. */
export function tokensOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Usage): number {
  return inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens
}

/** What several sessions have used together. */
export function sumOf(usages: readonly Usage[]): Usage {
  return usages.reduce((sum, usage) => {
    const costUsd =
      sum.costUsd === undefined && usage.costUsd === undefined ? undefined : (sum.costUsd ?? 0) + (usage.costUsd ?? 0)
    return {
      inputTokens: sum.inputTokens + usage.inputTokens,
      outputTokens: sum.outputTokens + usage.outputTokens,
      cacheReadTokens: sum.cacheReadTokens + usage.cacheReadTokens,
      cacheWriteTokens: sum.cacheWriteTokens + usage.cacheWriteTokens,
      turns: sum.turns + usage.turns,
      unpricedTurns: sum.unpricedTurns + usage.unpricedTurns,
      ...(costUsd === undefined ? {} : { costUsd }),
    }
  }, NOTHING)
}
