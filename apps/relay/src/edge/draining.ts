import { setTimeout as sleep } from 'node:timers/promises'
import { AioError } from '@ai-orchestration/protocol'

const LOOK_MS = 20 // how often it is looked whether all calls have ended; only while it drains

/** Whether the relay is on its way out: then it takes nothing new from clients, and lets what is under way finish. */
export class Draining {
  readonly #retryAfterS: number
  #isOn = false

  /** @param retryAfterS what those who are refused are told to wait, in seconds. */
  constructor(retryAfterS: number) {
    this.#retryAfterS = retryAfterS
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /** Takes nothing new from now on. */
  begin(): void {
    this.#isOn = true
  }

  /** What a call is told that came too late. The SDK asks again by itself where that cannot do anything twice. */
  refusal(): AioError {
    return new AioError(
      'UNAVAILABLE',
      'The relay is stopping or restarting, so nothing was started. Try again in a moment.',
      { details: { retryAfterMs: this.#retryAfterS * 1_000 } },
    )
  }

  /** Resolves once no call is under way, or the time is over. */
  async untilIdle(callsUnderWay: () => number, limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs
    while (callsUnderWay() > 0 && performance.now() < deadline) await sleep(LOOK_MS)
  }
}
